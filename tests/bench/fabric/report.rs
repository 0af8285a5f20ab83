//! How the fabric's figures are told, and what they have to be.

use tests::measure::report::{Column, Goal, Suite, Table};

use crate::figures::Figure;

pub(crate) const SUITE: Suite<Figure> =
    Suite { ours: "fabric", base: "nginx-http", tables: &TABLES, goals: &GOALS };

const TABLES: [Table<Figure>; 3] = [
    Table {
        title: "CPU of the chain's processes together",
        is_brief: false,
        columns: &[
            Column::ratio("small, 32: µs", Figure::SmallCpu, 1),
            Column::ratio("small, 256: µs", Figure::ManyCpu, 1),
            Column::ratio("new stream: µs", Figure::FreshCpu, 1),
            Column::ratio("bulk: s/GB", Figure::BulkCpu, 2),
            Column::new("RSS: KiB", Figure::Memory, 0),
        ],
    },
    Table {
        title: "Throughput, chain on one core",
        is_brief: false,
        columns: &[
            Column::new("small, 32: /s", Figure::SmallRate, 0),
            Column::new("small, 256: /s", Figure::ManyRate, 0),
            Column::new("bulk: MB/s", Figure::BulkRate, 0),
            Column::new("bulk beside 5 stalled: MB/s", Figure::StalledRate, 0),
        ],
    },
    Table {
        title: "Latency, µs, p50 and p99; from the third pair on, of rare requests alone and beside transfers",
        is_brief: true,
        columns: &[
            Column::new("small, 32", Figure::SmallP50, 0),
            Column::new("p99", Figure::SmallP99, 0),
            Column::new("new stream", Figure::FreshP50, 0),
            Column::new("p99", Figure::FreshP99, 0),
            Column::new("rare, idle", Figure::IdleP50, 0),
            Column::new("p99", Figure::IdleP99, 0),
            Column::new("+ bulk", Figure::BesideP50, 0),
            Column::new("p99", Figure::BesideP99, 0),
            Column::new("+ 5 stalled", Figure::StalledP50, 0),
            Column::new("p99", Figure::StalledP99, 0),
            Column::new("+ 5, 1 Gbit/s", Figure::GigabitP50, 0),
            Column::new("p99", Figure::GigabitP99, 0),
        ],
    },
];

const GOALS: [Goal<Figure>; 6] = [
    Goal {
        text: "CPU of a small request",
        ours: Figure::SmallCpu,
        most: 0.6,
        others: &["nginx-http"],
        theirs: Figure::SmallCpu,
    },
    Goal {
        text: "CPU of bulk",
        ours: Figure::BulkCpu,
        most: 1.0,
        others: &["haproxy-tcp", "haproxy-http"],
        theirs: Figure::BulkCpu,
    },
    Goal {
        text: "CPU of a new stream",
        ours: Figure::FreshCpu,
        most: 0.5,
        others: &["rathole", "rathole-2"],
        theirs: Figure::FreshCpu,
    },
    Goal {
        text: "p99 beside 5 stalled transfers and one that takes all the core has, to its own idle p99",
        ours: Figure::StalledP99,
        most: 2.0,
        others: &["fabric"],
        theirs: Figure::IdleP99,
    },
    Goal {
        text: "p99 beside 5 stalled transfers and one at 1 Gbit/s, to its own idle p99",
        ours: Figure::GigabitP99,
        most: 2.0,
        others: &["fabric"],
        theirs: Figure::IdleP99,
    },
    Goal {
        text: "CPU of a small request, to the reference of the same shape",
        ours: Figure::SmallCpu,
        most: 1.0,
        others: &["h2"],
        theirs: Figure::SmallCpu,
    },
];
