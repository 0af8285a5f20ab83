//! How the figures are told, and what they have to be.

use tests::measure::report::{Column, Goal, Suite, Table};

use crate::figures::Figure;

pub(crate) const SUITE: Suite<Figure> =
    Suite { ours: "wandergate", base: "nginx", tables: &TABLES, goals: &GOALS };

const TABLES: [Table<Figure>; 6] = [
    Table {
        title: "CPU of the front's process alone",
        is_brief: false,
        columns: &[
            Column::ratio("h1, 32: µs", Figure::H1Cpu, 1),
            Column::ratio("h2, 8 × 32: µs", Figure::H2Cpu, 1),
            Column::ratio("new TLS: µs", Figure::FreshCpu, 0),
            Column::ratio("resumed: µs", Figure::AgainCpu, 0),
            Column::ratio("down: s/GB", Figure::DownCpu, 2),
            Column::ratio("up: s/GB", Figure::UpCpu, 2),
            Column::ratio("down, h2: s/GB", Figure::H2DownCpu, 2),
        ],
    },
    Table {
        title: "CPU of all processes between client and service",
        is_brief: false,
        columns: &[
            Column::ratio("h1, 32: µs", Figure::H1Chain, 1),
            Column::ratio("h2, 8 × 32: µs", Figure::H2Chain, 1),
            Column::ratio("new TLS: µs", Figure::FreshChain, 0),
            Column::ratio("resumed: µs", Figure::AgainChain, 0),
            Column::ratio("down: s/GB", Figure::DownChain, 2),
            Column::ratio("up: s/GB", Figure::UpChain, 2),
            Column::ratio("down, h2: s/GB", Figure::H2DownChain, 2),
        ],
    },
    Table {
        title: "Bytes as they are, small request and answer: CPU of the front's process, then of all",
        is_brief: false,
        columns: &[
            Column::ratio("tcp: µs", Figure::TcpCpu, 1),
            Column::ratio("out of TLS: µs", Figure::TlsCpu, 1),
            Column::ratio("udp echo: µs", Figure::UdpCpu, 1),
            Column::ratio("all, tcp: µs", Figure::TcpChain, 1),
            Column::ratio("all, out of TLS: µs", Figure::TlsChain, 1),
            Column::ratio("all, udp echo: µs", Figure::UdpChain, 1),
        ],
    },
    Table {
        title: "Memory of the front's process",
        is_brief: false,
        columns: &[
            Column::ratio("idle TLS connection: KiB", Figure::IdleMemory, 1),
            Column::ratio("all, after the work: KiB", Figure::Memory, 0),
        ],
    },
    Table {
        title: "Throughput, requests and 10^6 bytes a second, and latency, µs",
        is_brief: true,
        columns: &[
            Column::new("h1: /s", Figure::H1Rate, 0),
            Column::new("p50", Figure::H1P50, 0),
            Column::new("p99", Figure::H1P99, 0),
            Column::new("h2: /s", Figure::H2Rate, 0),
            Column::new("p50", Figure::H2P50, 0),
            Column::new("p99", Figure::H2P99, 0),
            Column::new("new TLS: /s", Figure::FreshRate, 0),
            Column::new("p50", Figure::FreshP50, 0),
            Column::new("p99", Figure::FreshP99, 0),
            Column::new("down: MB/s", Figure::DownRate, 0),
            Column::new("up: MB/s", Figure::UpRate, 0),
            Column::new("h2: MB/s", Figure::H2DownRate, 0),
        ],
    },
    Table {
        title: "Throughput and latency of the rest, a second and µs",
        is_brief: true,
        columns: &[
            Column::new("resumed: /s", Figure::AgainRate, 0),
            Column::new("p50", Figure::AgainP50, 0),
            Column::new("p99", Figure::AgainP99, 0),
            Column::new("tcp: /s", Figure::TcpRate, 0),
            Column::new("p50", Figure::TcpP50, 0),
            Column::new("p99", Figure::TcpP99, 0),
            Column::new("tls: /s", Figure::TlsRate, 0),
            Column::new("p50", Figure::TlsP50, 0),
            Column::new("p99", Figure::TlsP99, 0),
            Column::new("udp: /s", Figure::UdpRate, 0),
            Column::new("p50", Figure::UdpP50, 0),
            Column::new("p99", Figure::UdpP99, 0),
        ],
    },
];

/// Figures against the same of others.
const fn goal(
    text: &'static str,
    figure: Figure,
    most: f64,
    others: &'static [&'static str],
) -> Goal<Figure> {
    Goal { text, ours: figure, most, others, theirs: figure }
}

const NGINX: &[&str] = &["nginx"];

const GOALS: [Goal<Figure>; 15] = [
    goal("CPU of a small HTTP/1.1 request", Figure::H1Cpu, 1.0, NGINX),
    goal("CPU of a small HTTP/2 request", Figure::H2Cpu, 1.0, &["nginx", "haproxy"]),
    goal("CPU of a new TLS connection with one request", Figure::FreshCpu, 0.52, NGINX),
    goal("CPU of a small HTTP/1.1 request, to the same chain", Figure::H1Cpu, 1.0, &["nginx-chain"]),
    goal("CPU of a resumed TLS connection with one request", Figure::AgainCpu, 1.0, NGINX),
    goal("CPU of a small exchange over tcp", Figure::TcpCpu, 1.0, &["nginx", "haproxy"]),
    goal("CPU of a small exchange out of TLS", Figure::TlsCpu, 1.0, &["nginx", "haproxy"]),
    goal("CPU of a datagram and its echo", Figure::UdpCpu, 1.0, NGINX),
    goal("CPU of large answers", Figure::DownCpu, 1.0, NGINX),
    goal("CPU of large requests", Figure::UpCpu, 1.0, NGINX),
    goal("CPU of large answers over HTTP/2", Figure::H2DownCpu, 1.0, NGINX),
    goal("p99 of HTTP/1.1", Figure::H1P99, 1.0, NGINX),
    goal("p99 of HTTP/2", Figure::H2P99, 1.0, NGINX),
    goal("p99 of new TLS connections", Figure::FreshP99, 1.0, NGINX),
    goal("memory of an idle TLS connection", Figure::IdleMemory, 1.0, &["haproxy"]),
];
