//! What a bench can be asked for on its command line.

use std::process::exit;

/// All that there is.
#[derive(Default)]
pub struct Options {
    /// Few requests, one round: proves that the bench works.
    pub is_quick: bool,
    pub rounds: usize,
    /// These chains alone; empty: all.
    pub only: Vec<String>,
    /// These kinds of work alone; empty: all.
    pub work: Vec<String>,
    /// Where the figures go as JSON; `-` is standard output.
    pub json: Option<String>,
}

impl Options {
    /// Reads them; ends the process with what is wrong.
    pub fn read(program: &str, arguments: Vec<String>) -> Self {
        Self::parse(arguments).unwrap_or_else(|problem| {
            eprintln!("{program}: {problem}");
            exit(2)
        })
    }

    /// Is a chain of this name wanted?
    pub fn wants(&self, chain: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == chain)
    }

    fn parse(arguments: Vec<String>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
            match argument.as_str() {
                "--quick" => options.is_quick = true,
                "--rounds" => options.rounds = value()?.parse().map_err(|_| "--rounds wants a number")?,
                "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
                "--work" => options.work = value()?.split(',').map(str::to_owned).collect(),
                "--json" => options.json = Some(value()?),
                other => {
                    return Err(format!(
                        "unknown argument {other}: --quick, --rounds N, --only NAMES, --work NAMES, --json FILE"
                    ));
                }
            }
        }
        if options.rounds == 0 {
            options.rounds = if options.is_quick { 1 } else { 5 };
        }
        Ok(options)
    }
}
