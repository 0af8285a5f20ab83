//! The pages for people: plain HTML without scripts, everything from outside escaped.

use std::fmt::Write as _;
use std::sync::LazyLock;

use data_encoding::BASE64;
use ring::digest::{SHA256, digest};
use state::Protocol;
use state::records::Invite;

use crate::answer::{Enrolled, ServiceTerms};
use crate::invite::Code;
use crate::problem::Problem;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1.05rem/1.6 system-ui,sans-serif;max-width:42rem;margin:2rem auto;padding:0 1rem}\
label{display:block;margin:1rem 0 .25rem}\
input,button{font:inherit;padding:.5rem .75rem;max-width:100%;box-sizing:border-box}\
button{margin-top:1rem}\
pre{overflow-x:auto;padding:.75rem;border:1px solid;border-radius:.25rem}\
code{user-select:all}\
dt{margin-top:1rem;font-weight:600}dd{margin:0}";

/// Content-Security-Policy of every answer: nothing but our own style, and forms to ourselves.
pub(crate) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let sum = BASE64.encode(digest(&SHA256, STYLE.as_bytes()).as_ref());
    format!(
        "default-src 'none'; style-src 'sha256-{sum}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
});

/// What it is, and where an invite is entered.
pub(crate) fn front(zone: &str, open: bool) -> String {
    let mut main = format!(
        "<p>This is the door to the services of <strong>{}</strong>. Whoever has been let in reaches them by a private \
         address that moves; everybody else meets silence.</p>\
         <form action=\"/i\" method=\"get\"><label for=\"code\">Your invite</label>\
         <input id=\"code\" name=\"code\" required autocomplete=\"off\" spellcheck=\"false\" maxlength=\"64\" size=\"42\">\
         <br><button>Continue</button></form>",
        escape(zone)
    );
    if open {
        main.push_str(
            "<p>Without an invite, a program can register by a proof of work: <code>GET /j/v1/challenge</code>, then \
             <code>POST /j/v1/enroll</code>.</p>",
        );
    }
    whole("Registration", &main)
}

/// What an invite is for, and the button that redeems it.
pub(crate) fn invitation(zone: &str, code: Code, invite: &Invite) -> String {
    let services: Vec<String> =
        invite.services.iter().map(|s| format!("<strong>{}</strong>", escape(s.as_str()))).collect();
    let main = format!(
        "<p>{} gives <strong>{}</strong> access to {}.</p>\
         <p>Press the button to get your private address. It is shown once, and this invite ends with it. Nothing \
         happens before you press it.</p>\
         <form action=\"{}\" method=\"post\"><label for=\"device\">A name for this device</label>\
         <input id=\"device\" name=\"device\" value=\"browser\" required maxlength=\"40\" autocomplete=\"off\">\
         <br><button>Get my private address</button></form>",
        escape(zone),
        escape(invite.user.as_str()),
        services.join(", "),
        escape(&code.path()),
    );
    whole("You are invited", &main)
}

/// The private address, shown once.
pub(crate) fn redeemed(answer: &Enrolled) -> String {
    let mut main = String::from(
        "<p><strong>Keep what is below: it is shown once.</strong> It is yours like a key, so tell it to nobody. The \
         address behind the name moves by itself; the name stays.</p>",
    );
    for terms in &answer.services {
        main.push_str(&lines(terms));
    }
    let who = format!("{} on {}", answer.user, answer.device);
    let _ = write!(main, "<p>Enrolled: {}.</p>", escape(&who));
    whole("Your private address", &main)
}

fn lines(terms: &ServiceTerms) -> String {
    let Some(name) = &terms.name else { return String::new() };
    let line = |label: &str, text: String| {
        format!("<dt>{label}</dt><dd><pre><code>{}</code></pre></dd>", escape(&text))
    };
    let mut out = format!("<h2>{}</h2><dl>", escape(terms.service.as_str()));
    for entry in terms.listen.entries() {
        let (first, last) = (entry.first(), entry.last());
        let ports = if first == last { first.to_string() } else { format!("{first}-{last}") };
        match entry.protocol() {
            Protocol::Https => {
                let port = if first == 443 { String::new() } else { format!(":{first}") };
                out.push_str(&line("Browser", format!("https://{name}{port}/")));
                out.push_str(&line("curl", format!("curl https://{name}{port}/")));
            }
            Protocol::Tls => out.push_str(&line("TLS", format!("{name}:{ports}"))),
            Protocol::Tcp if first == 22 => out.push_str(&line("ssh", format!("ssh {name}"))),
            Protocol::Tcp => out.push_str(&line("TCP", format!("{name}:{ports}"))),
            Protocol::Udp => out.push_str(&line("UDP", format!("{name}:{ports}"))),
        }
    }
    out.push_str("</dl>");
    out
}

/// A refusal, with the way on.
pub(crate) fn refused(problem: &Problem) -> String {
    let mut main = format!(
        "<p>{}</p><p>{}</p><p>{}</p><p>Code {}",
        escape(&problem.detail),
        escape(&problem.why),
        escape(&problem.fix),
        escape(&problem.code),
    );
    if let Some(request) = &problem.request {
        let _ = write!(main, ", reference <code>{}</code>", escape(request));
    }
    main.push_str("</p><p><a href=\"/\">To the beginning</a></p>");
    whole(&problem.title, &main)
}

fn whole(title: &str, main: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><meta name=\"robots\" content=\"noindex\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main><h1>{title}</h1>{main}</main></body></html>"
    )
}

/// Text that is safe between tags and in double-quoted attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use defense::Reason;
    use proptest::prelude::*;
    use state::Refusal;

    use super::*;

    proptest! {
        #[test]
        fn nothing_from_outside_becomes_markup(text in ".{0,80}") {
            let hostile = format!("<script>{text}\" onload='x'");
            let problem = Problem::new(&Refusal::new(Reason::BodyInvalid, hostile), None);
            let page = refused(&problem);
            prop_assert!(!page.contains("<script"));
            prop_assert!(!page.contains("onload='"));
            prop_assert!(front(&text, true).matches("<form").count() == 1);
        }
    }

    #[test]
    fn pages_load_nothing_from_elsewhere_and_run_no_script() {
        let page = front("edge.example.net", true);
        for foreign in ["<script", "http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert!(POLICY.starts_with("default-src 'none'; style-src 'sha256-"));
        assert!(!POLICY.contains("unsafe"));
    }
}
