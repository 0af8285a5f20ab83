//! Proxies that others wrote, configured for the same work: one thread each, TLS 1.3 with the same kind of certificate,
//! connections to the service kept, no log, no limit in the way.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;

use tests::measure::certificates::NAME;
use tests::measure::processes::{Process, find, free_address};

use crate::proxies::{Door, Own, Proxy, Raw, Site};

const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

pub(crate) fn nginx(site: &Site) -> Result<Proxy, String> {
    if !Path::new(STREAM_MODULE).exists() {
        return Err("nginx has no stream module".to_owned());
    }
    let raw = Raw { tcp: vec![door(site)], tls: vec![door(site)], udp: vec![door(site)] };
    let (front, process) = nginx_hop(site, site.service, false, false, Some(&raw))?;
    Ok(Proxy { name: "nginx", doors: vec![front], raw, own: Own::Programs(vec![process]) })
}

/// Three in a row with mutual TLS between them: the way that our requests have.
pub(crate) fn nginx_chain(site: &Site) -> Result<Proxy, String> {
    let (last, third) = nginx_hop(site, site.service, true, false, None)?;
    let (middle, second) = nginx_hop(site, last.at, true, true, None)?;
    let (front, first) = nginx_hop(site, middle.at, false, true, None)?;
    let own = Own::Programs(vec![first, second, third]);
    Ok(Proxy { name: "nginx-chain", doors: vec![front], raw: Raw::default(), own })
}

/// One process, and where it listens.
fn nginx_hop(
    site: &Site,
    to: SocketAddr,
    knows_who: bool,
    to_tls: bool,
    raw: Option<&Raw>,
) -> Result<(Door, Process), String> {
    let program = find("nginx", "BENCH_NGINX")?;
    let (door, dir) = (door(site), site.dir.display());
    let prefix = format!("{dir}/nginx-{}", door.at.port());
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {prefix}-{kind};\n"))
        .concat();
    let certificates = &site.certificates;
    let (leaf, key, authority) = (certificates.leaf(), certificates.key(), certificates.authority());
    let (leaf, key, authority) = (leaf.display(), key.display(), authority.display());
    let asks = format!("ssl_verify_client on; ssl_client_certificate {authority};\n");
    let shows = format!(
        "proxy_ssl_protocols TLSv1.3; proxy_ssl_certificate {leaf}; proxy_ssl_certificate_key {key};\n\
         proxy_ssl_verify on; proxy_ssl_trusted_certificate {authority}; proxy_ssl_name {NAME};\n"
    );
    let text = format!(
        "{}daemon off; master_process off; worker_processes 1; pid {prefix}.pid; error_log stderr error;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\naccess_log off; keepalive_requests 1000000000; keepalive_timeout 600s; tcp_nodelay on;\n{temporary}\
         upstream next {{ server {to}; keepalive 512; keepalive_requests 1000000000; keepalive_timeout 600s; }}\n\
         server {{\nlisten {} ssl http2;\nserver_name {NAME};\n\
         ssl_protocols TLSv1.3; ssl_certificate {leaf}; ssl_certificate_key {key};\n{}\
         client_max_body_size 0; http2_max_concurrent_streams 128;\n\
         location / {{\nproxy_pass {}://next; proxy_http_version 1.1; proxy_set_header Connection \"\";\n{}\
         proxy_set_header X-Forwarded-For $remote_addr; proxy_request_buffering off;\n\
         proxy_buffer_size 16k; proxy_buffers 16 16k; proxy_busy_buffers_size 64k; proxy_max_temp_file_size 0;\n}}\n}}\n}}\n{}",
        raw.map_or_else(String::new, |_| format!("load_module {STREAM_MODULE};\n")),
        door.at,
        if knows_who { &asks } else { "" },
        if to_tls { "https" } else { "http" },
        if to_tls { &shows } else { "" },
        raw.map_or_else(String::new, |raw| nginx_stream(site, raw)),
    );
    let file = format!("{prefix}.conf");
    fs::write(&file, text).unwrap();
    let process =
        start(site, "nginx", &program, &door, &["-p", &dir.to_string(), "-e", "stderr", "-c", &file]);
    Ok((door, process))
}

fn nginx_stream(site: &Site, raw: &Raw) -> String {
    let (leaf, key) = (site.certificates.leaf(), site.certificates.key());
    let server = |door: &Door, kind: &str, more: &str| {
        let (at, to) = (door.at, site.service);
        format!("server {{ listen {at}{kind}; proxy_pass {to}; proxy_timeout 600s; {more}}}\n")
    };
    let ends_tls = format!(
        "ssl_protocols TLSv1.3; ssl_certificate {}; ssl_certificate_key {}; ",
        leaf.display(),
        key.display()
    );
    let tcp = raw.tcp.iter().map(|door| server(door, "", "tcp_nodelay on; "));
    let tls = raw.tls.iter().map(|door| server(door, " ssl", &ends_tls));
    let udp = raw.udp.iter().map(|door| server(door, " udp", ""));
    format!("stream {{\n{}}}\n", tcp.chain(tls).chain(udp).collect::<String>())
}

pub(crate) fn haproxy(site: &Site) -> Result<Proxy, String> {
    let program = find("haproxy", "BENCH_HAPROXY")?;
    let (leaf, to) = (site.certificates.leaf_and_key(), site.service);
    let leaf = leaf.display();
    let raw = Raw { tcp: vec![door(site)], tls: vec![door(site)], udp: Vec::new() };
    let door = door(site);
    let text = format!(
        "global\nnbthread 1\nmaxconn 8000\nssl-default-bind-options ssl-min-ver TLSv1.3\n\
         defaults\nmode http\nhttp-reuse always\noption http-keep-alive\noption forwardfor\n\
         timeout connect 5s\ntimeout client 600s\ntimeout server 600s\n\
         frontend f\nbind {} ssl crt {leaf} alpn h2,http/1.1\ndefault_backend b\nbackend b\nserver s {to}\n\
         listen tcp\nmode tcp\nbind {}\nserver s {to}\n\
         listen tls\nmode tcp\nbind {} ssl crt {leaf}\nserver s {to}\n",
        door.at, raw.tcp[0].at, raw.tls[0].at,
    );
    let file = site.dir.join(format!("haproxy-{}.conf", door.at.port())).display().to_string();
    fs::write(&file, text).unwrap();
    let process = start(site, "haproxy", &program, &door, &["-db", "-f", &file]);
    Ok(Proxy { name: "haproxy", doors: vec![door], raw, own: Own::Programs(vec![process]) })
}

fn door(site: &Site) -> Door {
    let mut at = free_address();
    if site.v6.is_some() {
        at.set_ip(Ipv6Addr::LOCALHOST.into());
    }
    Door { at, name: NAME.to_owned(), authority: site.certificates.authority() }
}

fn start(site: &Site, name: &str, program: &Path, door: &Door, arguments: &[&str]) -> Process {
    Process::start(&format!("{name}-{}", door.at.port()), site.cores.chain, &site.dir, program, arguments)
}
