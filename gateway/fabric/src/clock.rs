//! The two clocks that the fabric's shells read themselves: time since boot, and what certificates call now.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use rustls::pki_types::UnixTime;

/// Time since boot, sleep of the machine included (`CLOCK_BOOTTIME`, clock_getres(2)): what leases are measured with. No
/// setting of the date changes it.
pub(crate) fn boot_time() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    // Neither is negative since boot.
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The date by which certificates and votes are judged, as TLS does it.
pub(crate) fn today() -> UnixTime {
    UnixTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_time_goes_on() {
        let before = boot_time();
        std::thread::sleep(Duration::from_millis(2));
        let passed = boot_time() - before;
        assert!(passed >= Duration::from_millis(2) && passed < Duration::from_secs(60));
    }
}
