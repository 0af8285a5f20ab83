//! Proxies that others wrote, configured for the same work: one thread each, TLS 1.3 with the same kind of certificate,
//! connections to the service kept, no log, no limit in the way.

use std::fs;
use std::path::Path;

use tests::measure::certificates::NAME;
use tests::measure::processes::{Process, find, free_address};

use crate::proxies::{Door, Own, Proxy, Site};

pub(crate) fn nginx(site: &Site) -> Result<Proxy, String> {
    let program = find("nginx", "BENCH_NGINX")?;
    let (door, dir) = (door(site), site.dir.display());
    let prefix = format!("{dir}/nginx-{}", door.at.port());
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {prefix}-{kind};\n"))
        .concat();
    let text = format!(
        "daemon off; master_process off; worker_processes 1; pid {prefix}.pid; error_log stderr error;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\naccess_log off; keepalive_requests 1000000000; keepalive_timeout 600s; tcp_nodelay on;\n{temporary}\
         upstream next {{ server {}; keepalive 512; keepalive_requests 1000000000; keepalive_timeout 600s; }}\n\
         server {{\nlisten {} ssl http2;\nserver_name {NAME};\n\
         ssl_protocols TLSv1.3; ssl_certificate {}; ssl_certificate_key {};\n\
         client_max_body_size 0; http2_max_concurrent_streams 128;\n\
         location / {{\nproxy_pass http://next; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         proxy_set_header X-Forwarded-For $remote_addr; proxy_request_buffering off;\n\
         proxy_buffer_size 16k; proxy_buffers 16 16k; proxy_busy_buffers_size 64k; proxy_max_temp_file_size 0;\n}}\n}}\n}}\n",
        site.service,
        door.at,
        site.certificates.leaf().display(),
        site.certificates.key().display(),
    );
    let file = format!("{prefix}.conf");
    fs::write(&file, text).unwrap();
    Ok(proxy(site, "nginx", &program, door, &["-p", &dir.to_string(), "-e", "stderr", "-c", &file]))
}

pub(crate) fn haproxy(site: &Site) -> Result<Proxy, String> {
    let program = find("haproxy", "BENCH_HAPROXY")?;
    let door = door(site);
    let text = format!(
        "global\nnbthread 1\nmaxconn 8000\nssl-default-bind-options ssl-min-ver TLSv1.3\n\
         defaults\nmode http\nhttp-reuse always\noption http-keep-alive\noption forwardfor\n\
         timeout connect 5s\ntimeout client 600s\ntimeout server 600s\n\
         frontend f\nbind {} ssl crt {} alpn h2,http/1.1\ndefault_backend b\nbackend b\nserver s {}\n",
        door.at,
        site.certificates.leaf_and_key().display(),
        site.service,
    );
    let file = site.dir.join(format!("haproxy-{}.conf", door.at.port())).display().to_string();
    fs::write(&file, text).unwrap();
    Ok(proxy(site, "haproxy", &program, door, &["-db", "-f", &file]))
}

fn door(site: &Site) -> Door {
    Door { at: free_address(), name: NAME.to_owned(), authority: site.certificates.authority() }
}

fn proxy(site: &Site, name: &'static str, program: &Path, door: Door, arguments: &[&str]) -> Proxy {
    let called = format!("{name}-{}", door.at.port());
    let process = Process::start(&called, site.cores.chain, &site.dir, program, arguments);
    Proxy { name, doors: vec![door], own: Own::Program(process) }
}
