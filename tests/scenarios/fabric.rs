//! The inside as it stands on several computers: every member a process, killed, stopped and cut off amid traffic.

use tests::bulk::Bulk;
use tests::fabric::{Fabric, Plan};

#[test]
fn one_hub_a_plane_carries_requests() {
    let service = Bulk::start();
    let plan = Plan { planes: vec![("A", 1), ("B", 1)], ..Plan::whole(service.address()) };
    let fabric = Fabric::start(&plan);
    let traffic = fabric.user().ask_on(4);
    let begun = std::time::Instant::now();
    std::thread::sleep(std::time::Duration::from_secs(2));
    let window = traffic.finish().since(begun);
    println!("{window}");
    assert_eq!(window.failed, 0, "{window}");
}
