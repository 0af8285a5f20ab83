//! Whoever outside would use the product: dig, curl, h2load, python.

use std::net::IpAddr;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::product::Process;

/// Runs a client; a missing one is a failure that names its Debian package.
pub fn client(program: &str, package: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    output.unwrap_or_else(|e| panic!("{program} does not start ({e}): apt-get install {package}"))
}

/// `dig +short`: the answers, one a line.
pub fn dig(product: &Process, name: &str, kind: &str) -> Vec<String> {
    let dns = product.text("/dns");
    let (host, port) = dns.rsplit_once(':').unwrap();
    let args = [&format!("@{host}"), "-p", port, "+short", "+tries=1", "+time=3", name, kind];
    let output = client("dig", "bind9-dnsutils", &args);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| !line.starts_with(';')).map(str::to_owned).collect()
}

/// Where the private name is now.
pub fn address(product: &Process, lease: &Value) -> IpAddr {
    let answers: Vec<_> =
        ["A", "AAAA"].iter().flat_map(|kind| dig(product, lease["name"].as_str().unwrap(), kind)).collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers[0].parse().unwrap()
}

/// Plain curl to a private name at an address: no trick but the CA and where to connect.
pub fn curl(product: &Process, lease: &Value, at: IpAddr, path: &str, more: &[&str]) -> Output {
    let (name, port) = (lease["name"].as_str().unwrap(), lease["port"].as_u64().unwrap());
    let (url, to) = (format!("https://{name}:{port}{path}"), format!("{name}:{port}:{at}:{port}"));
    let ca = product.text("/ca_file");
    let fixed = ["-sS", "--max-time", "120", "--cacert", &ca, "--connect-to", &to, &url];
    client("curl", "curl", &[&fixed, more].concat())
}

/// The body of a request that must succeed.
pub fn fetch(product: &Process, lease: &Value, path: &str) -> Vec<u8> {
    let at = address(product, lease);
    let output = curl(product, lease, at, path, &["--fail"]);
    assert!(output.status.success(), "{path} at {at}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Runs a python program of the standard library with arguments; gives what it printed.
pub fn python(program: &str, args: &[&str]) -> String {
    let output = client("python3", "python3", &[&["-c", program], args].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
