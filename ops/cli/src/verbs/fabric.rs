//! `wandergate fabric …`, offline: what the wiring file says, drawn, and as the firewall of one host.

mod show;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use defense::Reason;
use fabric::topology::Matrix;
use fabric::topology::nft::parse_nft;
use serde_json::{Value, json};

use super::Told;
use crate::client::Failure;
use crate::config::bounds::FILE_BYTES_MAX;
use crate::config::suggest::nearest;
use crate::wiring_file::{self, Checked};

#[derive(Clone, Debug, Subcommand)]
pub enum FabricVerb {
    /// Draw planes, hubs, edges and local hubs, and say what they do not survive
    Show {
        #[command(flatten)]
        wiring: WiringArg,
    },
    /// Print the firewall of a host, for `nft -f`
    Rules {
        /// A host of the wiring
        host: String,
        #[command(flatten)]
        wiring: WiringArg,
        /// Compare with this file of rules instead; exit 6 if it says something else
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
    },
}

#[derive(Clone, Debug, Args)]
pub struct WiringArg {
    /// The wiring file
    #[arg(long = "wiring", value_name = "FILE", default_value = "/etc/wandergate/wiring.toml")]
    file: PathBuf,
}

impl WiringArg {
    fn load(&self) -> Result<Checked, Failure> {
        wiring_file::load_checked(&self.file).map_err(|errors| Failure::File(Box::new(errors)))
    }
}

pub(super) fn run(verb: &FabricVerb) -> Result<Told, Failure> {
    match verb {
        FabricVerb::Show { wiring } => Ok(show::told(&wiring.file, &wiring.load()?)),
        FabricVerb::Rules { host, wiring, against } => {
            let matrix = matrix(&wiring.load()?, host)?;
            match against {
                None => Ok(rules(&matrix)),
                Some(file) => compare(&matrix, file),
            }
        }
    }
}

fn matrix(checked: &Checked, host: &str) -> Result<Matrix, Failure> {
    checked.topology.matrix(host).ok_or_else(|| {
        let known: Vec<&str> = checked.topology.hosts.iter().map(|host| host.name.as_str()).collect();
        let meant = match nearest(host, known.iter().copied()) {
            Some(near) => format!("Did you mean \"{near}\"?"),
            None => format!("There are: {}.", known.join(", ")),
        };
        Failure::refused(Reason::UnknownTarget, &format!("The wiring has no host \"{host}\". {meant}"))
    })
}

fn rules(matrix: &Matrix) -> Told {
    let text = matrix.to_nft();
    let mut json = object(matrix);
    json["schema"] = json!("wandergate.fabric.rules/1");
    json["nft"] = json!(text);
    Told::new(json, text.trim_end().to_owned())
}

fn object(matrix: &Matrix) -> Value {
    let accepts: Vec<Value> = matrix
        .accepts
        .iter()
        .map(|row| {
            json!({
                "for": row.purpose.to_string(),
                "at": row.at,
                "port": row.port,
                "protocol": row.protocol.as_str(),
                "from": row.from,
            })
        })
        .collect();
    let initiates: Vec<Value> = matrix
        .initiates
        .iter()
        .map(|row| json!({ "for": row.purpose.to_string(), "to": row.to, "protocol": row.protocol.as_str() }))
        .collect();
    json!({ "host": matrix.host, "accepts": accepts, "initiates": initiates })
}

/// What stands in a file, and what should.
fn compare(wanted: &Matrix, file: &Path) -> Result<Told, Failure> {
    let unreadable = |why: String| Failure::Usage(format!("--against {}: {why}.", file.display()));
    let size = std::fs::metadata(file).map_err(|e| unreadable(e.to_string()))?.len();
    if size > FILE_BYTES_MAX as u64 {
        return Err(unreadable(format!("is larger than {FILE_BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(file).map_err(|e| unreadable(e.to_string()))?;
    let found = parse_nft(&text).map_err(|e| unreadable(e.to_string()))?;
    let (wanted_rows, found_rows) = (rows(wanted), rows(&found));
    let missing: Vec<&String> = wanted_rows.iter().filter(|row| !found_rows.contains(row)).collect();
    let extra: Vec<&String> = found_rows.iter().filter(|row| !wanted_rows.contains(row)).collect();
    let same = *wanted == found;
    let json = json!({
        "schema": "wandergate.fabric.rules.compare/1",
        "host": wanted.host,
        "file": file,
        "same": same,
        "missing": missing,
        "extra": extra,
    });
    if same {
        return Ok(Told::new(
            json,
            format!("{} is what the wiring says for {}", file.display(), wanted.host),
        ));
    }
    let mut text = vec![format!("{} is not what the wiring says for {}:", file.display(), wanted.host)];
    if wanted.host != found.host {
        text.push(format!("  it is for host {}", found.host));
    }
    text.extend(missing.iter().map(|row| format!("  missing  {row}")));
    text.extend(extra.iter().map(|row| format!("  extra    {row}")));
    let but = Failure::refused(Reason::RulesDiffer, "The rules in the file are not those of the wiring.");
    Ok(Told { json, text: text.join("\n"), but: Some(but) })
}

/// Each row as its line.
fn rows(matrix: &Matrix) -> Vec<String> {
    let text = matrix.to_nft();
    let rows = text.lines().filter(|line| line.contains(" accept comment "));
    rows.map(|line| line.trim().to_owned()).collect()
}
