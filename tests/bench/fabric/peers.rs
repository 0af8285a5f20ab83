//! Chains of programs that others wrote, configured for the same work: one thread each, no log, no limit in the way.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tests::measure::certificates::{NAME, PASSWORD};
use tests::measure::processes::{Process, find, free_address};

use crate::chains::{Chain, Site};

/// Where Debian keeps what nginx needs for TCP.
const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// One process of three in a row.
struct Hop {
    name: String,
    listen: SocketAddr,
    to: SocketAddr,
    /// What it accepts is TLS.
    from_tls: bool,
    /// What it dials is TLS.
    to_tls: bool,
}

/// From the service back to the front; the first hop takes clear TCP, the last one dials it.
fn hops(chain: &str, service: SocketAddr) -> Vec<Hop> {
    let mut to = service;
    let hops = (1..=3).rev().map(|at| {
        let listen = free_address();
        let hop = Hop { name: format!("{chain}-{at}"), listen, to, from_tls: at > 1, to_tls: at < 3 };
        to = listen;
        hop
    });
    hops.collect()
}

/// Starts one process a hop.
fn chain(
    site: &Site,
    name: &'static str,
    program: &Path,
    start: impl Fn(&Hop) -> (String, Vec<String>),
) -> Chain {
    let hops = hops(name, site.service);
    let front = hops.last().map_or(site.service, |hop| hop.listen);
    let processes = hops.iter().map(|hop| {
        let (text, arguments) = start(hop);
        std::fs::write(config(site, &hop.name), text).unwrap();
        Process::start(&hop.name, site.core, &site.dir, program, arguments)
    });
    Chain { name, processes: processes.collect(), front, bulk: front }
}

fn config(site: &Site, name: &str) -> PathBuf {
    site.dir.join(format!("{name}.conf"))
}

pub(crate) fn nginx_http(site: &Site) -> Result<Chain, String> {
    nginx(site, "nginx-http", nginx_http_server)
}

pub(crate) fn nginx_tcp(site: &Site) -> Result<Chain, String> {
    if !Path::new(NGINX_STREAM).is_file() {
        return Err("libnginx-mod-stream is not installed".to_owned());
    }
    nginx(site, "nginx-tcp", nginx_tcp_server)
}

fn nginx(site: &Site, name: &'static str, server: fn(&Site, &Hop) -> String) -> Result<Chain, String> {
    let program = find("nginx", "BENCH_NGINX")?;
    Ok(chain(site, name, &program, |hop| {
        let dir = site.dir.display();
        let text = format!(
            "daemon off; master_process off; worker_processes 1; pid {dir}/{0}.pid; error_log stderr error;\n\
             {1}events {{ worker_connections 4096; }}\n{2}",
            hop.name,
            if name == "nginx-tcp" { format!("load_module {NGINX_STREAM};\n") } else { String::new() },
            server(site, hop)
        );
        let file = config(site, &hop.name).display().to_string();
        (text, ["-p", &dir.to_string(), "-e", "stderr", "-c", &file].map(str::to_owned).into())
    }))
}

/// `ssl_*` where it accepts, `proxy_ssl_*` where it dials; sessions are resumed there, as nginx does by itself.
fn nginx_tls(site: &Site, hop: &Hop) -> String {
    let certificates = &site.certificates;
    let (leaf, key) = (certificates.leaf(), certificates.key());
    let (leaf, key, authority) = (leaf.display(), key.display(), certificates.authority());
    let authority = authority.display();
    let mut text = String::new();
    if hop.from_tls {
        write!(
            text,
            "ssl_protocols TLSv1.3; ssl_certificate {leaf}; ssl_certificate_key {key};\n\
             ssl_verify_client on; ssl_client_certificate {authority};\n"
        )
        .unwrap();
    }
    if hop.to_tls {
        write!(
            text,
            "proxy_ssl_protocols TLSv1.3; proxy_ssl_certificate {leaf}; proxy_ssl_certificate_key {key};\n\
             proxy_ssl_verify on; proxy_ssl_trusted_certificate {authority}; proxy_ssl_name {NAME};\n"
        )
        .unwrap();
    }
    text
}

fn nginx_http_server(site: &Site, hop: &Hop) -> String {
    let (dir, tls) = (site.dir.join(&hop.name), nginx_tls(site, hop));
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}-{kind};\n", dir.display()))
        .concat();
    format!(
        "http {{\naccess_log off; keepalive_requests 1000000000; keepalive_timeout 600s; tcp_nodelay on;\n{temporary}\
         upstream next {{ server {}; keepalive 512; keepalive_requests 1000000000; keepalive_timeout 600s; }}\n\
         server {{\nlisten {} {};\n{tls}\
         location / {{\nproxy_pass {}://next; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         proxy_buffer_size 16k; proxy_buffers 16 16k; proxy_busy_buffers_size 64k; proxy_max_temp_file_size 0;\n}}\n}}\n}}\n",
        hop.to,
        hop.listen,
        if hop.from_tls { "ssl" } else { "" },
        if hop.to_tls { "https" } else { "http" },
    )
}

fn nginx_tcp_server(site: &Site, hop: &Hop) -> String {
    format!(
        "stream {{\nserver {{\nlisten {} {};\n{}{}proxy_pass {}; proxy_timeout 600s; tcp_nodelay on;\n}}\n}}\n",
        hop.listen,
        if hop.from_tls { "ssl" } else { "" },
        nginx_tls(site, hop),
        if hop.to_tls { "proxy_ssl on;\n" } else { "" },
        hop.to,
    )
}

pub(crate) fn haproxy_http(site: &Site) -> Result<Chain, String> {
    haproxy(site, "haproxy-http", "mode http\nhttp-reuse always\noption http-keep-alive\n")
}

pub(crate) fn haproxy_tcp(site: &Site) -> Result<Chain, String> {
    haproxy(site, "haproxy-tcp", "mode tcp\n")
}

fn haproxy(site: &Site, name: &'static str, mode: &str) -> Result<Chain, String> {
    let program = find("haproxy", "BENCH_HAPROXY")?;
    let certificates = &site.certificates;
    let (both, authority) = (certificates.leaf_and_key(), certificates.authority());
    let tls = format!("ssl verify required crt {} ca-file {}", both.display(), authority.display());
    Ok(chain(site, name, &program, |hop| {
        let text = format!(
            "global\nnbthread 1\nmaxconn 4000\n\
             ssl-default-bind-options ssl-min-ver TLSv1.3\nssl-default-server-options ssl-min-ver TLSv1.3\n\
             defaults\n{mode}timeout connect 5s\ntimeout client 600s\ntimeout server 600s\n\
             frontend f\nbind {} {}\ndefault_backend b\nbackend b\nserver s {} {}\n",
            hop.listen,
            if hop.from_tls { &tls } else { "" },
            hop.to,
            if hop.to_tls { format!("{tls} verifyhost {NAME}") } else { String::new() },
        );
        let file = config(site, &hop.name).display().to_string();
        (text, ["-db", "-f", &file].map(str::to_owned).into())
    }))
}

pub(crate) fn rathole(site: &Site) -> Result<Chain, String> {
    let (processes, front) = rathole_pair(site, "rathole", site.service)?;
    Ok(Chain { name: "rathole", processes: processes.into(), front, bulk: front })
}

pub(crate) fn rathole_twice(site: &Site) -> Result<Chain, String> {
    let (inner, middle) = rathole_pair(site, "rathole-2b", site.service)?;
    let (outer, front) = rathole_pair(site, "rathole-2a", middle)?;
    let processes = outer.into_iter().chain(inner).collect();
    Ok(Chain { name: "rathole-2", processes, front, bulk: front })
}

/// Server and client, and where visitors come in.
fn rathole_pair(site: &Site, name: &str, to: SocketAddr) -> Result<([Process; 2], SocketAddr), String> {
    let program = find("rathole", "BENCH_RATHOLE")?;
    let (meet, front) = (free_address(), free_address());
    let certificates = &site.certificates;
    let server = format!(
        "[server]\nbind_addr = \"{meet}\"\ndefault_token = \"t\"\n[server.transport]\ntype = \"tls\"\n\
         [server.transport.tls]\npkcs12 = \"{}\"\npkcs12_password = \"{PASSWORD}\"\n\
         [server.services.s]\nbind_addr = \"{front}\"\n",
        certificates.pkcs12().display()
    );
    let client = format!(
        "[client]\nremote_addr = \"{meet}\"\ndefault_token = \"t\"\n[client.transport]\ntype = \"tls\"\n\
         [client.transport.tls]\ntrusted_root = \"{}\"\nhostname = \"{NAME}\"\n\
         [client.services.s]\nlocal_addr = \"{to}\"\n",
        certificates.authority().display()
    );
    let start = |side: &str, text: String| {
        let name = format!("{name}-{side}");
        let file = site.dir.join(format!("{name}.toml"));
        std::fs::write(&file, text).unwrap();
        Process::start(&name, site.core, &site.dir, &program, [Path::new(&format!("--{side}")), &file])
    };
    Ok(([start("server", server), start("client", client)], front))
}
