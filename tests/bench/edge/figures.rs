//! What is measured of a proxy.

use tests::measure::figures::Kind;

/// All are better when lower, but those of throughput. CPU is that of the process at the front alone, but for those of
/// the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    /// µs of CPU for a request, HTTP/1.1, 32 connections that press.
    H1Cpu,
    /// The same of all processes behind the front, too.
    H1Chain,
    H1Rate,
    /// µs.
    H1P50,
    H1P99,
    /// HTTP/2, 8 connections with 32 streams each.
    H2Cpu,
    H2Chain,
    H2Rate,
    H2P50,
    H2P99,
    /// µs of CPU for a TLS connection with one request.
    FreshCpu,
    FreshChain,
    FreshRate,
    FreshP50,
    FreshP99,
    /// The same where the client comes back with a ticket.
    AgainCpu,
    AgainChain,
    AgainRate,
    AgainP50,
    AgainP99,
    /// µs of CPU for a small request and its answer that go through as bytes, 32 connections.
    TcpCpu,
    TcpChain,
    TcpRate,
    TcpP50,
    TcpP99,
    /// The same out of TLS.
    TlsCpu,
    TlsChain,
    TlsRate,
    TlsP50,
    TlsP99,
    /// µs of CPU for a datagram there and its echo back.
    UdpCpu,
    UdpChain,
    UdpRate,
    UdpP50,
    UdpP99,
    /// Seconds of CPU for 10^9 bytes of answers.
    DownCpu,
    DownChain,
    /// 10^6 bytes a second.
    DownRate,
    /// The same of requests' bodies.
    UpCpu,
    UpChain,
    UpRate,
    /// Answers of 1 MiB over HTTP/2.
    H2DownCpu,
    H2DownChain,
    H2DownRate,
    /// KiB of resident memory of the front for each idle TLS connection.
    IdleMemory,
    /// KiB of the front after the round's work.
    Memory,
}

impl Kind for Figure {
    fn name(self) -> &'static str {
        match self {
            Self::H1Cpu => "h1_cpu_us",
            Self::H1Chain => "h1_chain_cpu_us",
            Self::H1Rate => "h1_per_s",
            Self::H1P50 => "h1_p50_us",
            Self::H1P99 => "h1_p99_us",
            Self::H2Cpu => "h2_cpu_us",
            Self::H2Chain => "h2_chain_cpu_us",
            Self::H2Rate => "h2_per_s",
            Self::H2P50 => "h2_p50_us",
            Self::H2P99 => "h2_p99_us",
            Self::FreshCpu => "new_tls_cpu_us",
            Self::FreshChain => "new_tls_chain_cpu_us",
            Self::FreshRate => "new_tls_per_s",
            Self::FreshP50 => "new_tls_p50_us",
            Self::FreshP99 => "new_tls_p99_us",
            Self::AgainCpu => "again_tls_cpu_us",
            Self::AgainChain => "again_tls_chain_cpu_us",
            Self::AgainRate => "again_tls_per_s",
            Self::AgainP50 => "again_tls_p50_us",
            Self::AgainP99 => "again_tls_p99_us",
            Self::TcpCpu => "tcp_cpu_us",
            Self::TcpChain => "tcp_chain_cpu_us",
            Self::TcpRate => "tcp_per_s",
            Self::TcpP50 => "tcp_p50_us",
            Self::TcpP99 => "tcp_p99_us",
            Self::TlsCpu => "tls_cpu_us",
            Self::TlsChain => "tls_chain_cpu_us",
            Self::TlsRate => "tls_per_s",
            Self::TlsP50 => "tls_p50_us",
            Self::TlsP99 => "tls_p99_us",
            Self::UdpCpu => "udp_cpu_us",
            Self::UdpChain => "udp_chain_cpu_us",
            Self::UdpRate => "udp_per_s",
            Self::UdpP50 => "udp_p50_us",
            Self::UdpP99 => "udp_p99_us",
            Self::DownCpu => "down_cpu_s_per_gb",
            Self::DownChain => "down_chain_cpu_s_per_gb",
            Self::DownRate => "down_mb_per_s",
            Self::UpCpu => "up_cpu_s_per_gb",
            Self::UpChain => "up_chain_cpu_s_per_gb",
            Self::UpRate => "up_mb_per_s",
            Self::H2DownCpu => "h2_down_cpu_s_per_gb",
            Self::H2DownChain => "h2_down_chain_cpu_s_per_gb",
            Self::H2DownRate => "h2_down_mb_per_s",
            Self::IdleMemory => "idle_tls_kib",
            Self::Memory => "rss_kib",
        }
    }
}
