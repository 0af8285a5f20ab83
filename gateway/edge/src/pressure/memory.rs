//! Memory in use and its limit, out of what the kernel writes. Pure; the sampler reads the files.

/// `VmRSS` of `/proc/self/status`, in bytes.
pub(super) fn resident(status: &str) -> Option<u64> {
    kilobytes(status, "VmRSS:")
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
pub(super) fn total(meminfo: &str) -> Option<u64> {
    kilobytes(meminfo, "MemTotal:")
}

/// The process's group of the unified hierarchy (cgroup v2), out of `/proc/self/cgroup`.
pub(super) fn group(cgroup: &str) -> Option<&str> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    (path.starts_with('/') && !path.contains("..")).then_some(path)
}

/// A limit as a group's `memory.max` (or `memory.limit_in_bytes`) spells it; `None`: no limit.
pub(super) fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| *bytes > 0)
}

/// How much of its limit is in use, in thousandths; more than all is possible for a moment.
pub(super) fn thousandths(resident: u64, limit: u64) -> u32 {
    let part = u128::from(resident) * 1000 / u128::from(limit.max(1));
    u32::try_from(part).unwrap_or(u32::MAX)
}

fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read_and_what_it_never_would_is_nothing() {
        assert_eq!(resident("VmHWM:\t    9 kB\nVmRSS:\t    1234 kB\n"), Some(1234 * 1024));
        assert_eq!(total("MemTotal:       16309932 kB\nMemFree: 1 kB\n"), Some(16_309_932 * 1024));
        assert_eq!((resident(""), resident("VmRSS: x kB"), resident("VmRSS: 12")), (None, None, None));
        assert_eq!(resident(&format!("VmRSS: {} kB", u64::MAX)), None);
        assert_eq!(group("1:name=x:/y\n0::/system.slice/w.service\n"), Some("/system.slice/w.service"));
        assert_eq!((group("0::relative"), group("0::/../x"), group("")), (None, None, None));
        assert_eq!((limit("max\n"), limit("268435456\n"), limit("0")), (None, Some(1 << 28), None));
    }

    #[test]
    fn a_part_is_in_thousandths_and_never_overflows() {
        assert_eq!(thousandths(800, 1000), 800);
        assert_eq!((thousandths(u64::MAX, 0), thousandths(0, u64::MAX)), (u32::MAX, 0));
        assert_eq!(thousandths(3 << 30, 2 << 30), 1500);
    }
}
