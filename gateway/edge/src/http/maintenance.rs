//! What a client sees while its service is under maintenance: a page for people, else the usual refusal. Pure.

use http::Response;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http_body_util::Full;

use super::Reply;

/// When to come back, in seconds: nobody knows better.
const RETRY_S: u32 = 60;

/// What the operator says, for whoever asks.
pub(super) struct Notice {
    page: Option<String>,
}

impl Notice {
    /// `text` is the operator's own; `asked` are the fields of the request.
    pub(super) fn new(text: &str, asked: &HeaderMap) -> Self {
        Self { page: wants_page(asked).then(|| page(text)) }
    }

    /// Puts itself in the place of a refusal's body.
    pub(super) fn on(self, refusal: Response<Reply>) -> Response<Reply> {
        let mut answer = refusal;
        answer.headers_mut().insert(RETRY_AFTER, RETRY_S.into());
        if let Some(page) = self.page {
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            answer.headers_mut().insert(CONTENT_TYPE, html);
            *answer.body_mut() = Reply::Own(Full::from(page));
        }
        answer
    }
}

/// Browsers name HTML; programs take anything.
fn wants_page(asked: &HeaderMap) -> bool {
    asked
        .get_all(ACCEPT)
        .iter()
        .filter_map(|accept| accept.to_str().ok())
        .any(|accept| accept.contains("text/html"))
}

fn page(text: &str) -> String {
    let text = escaped(text);
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta name=\"color-scheme\" content=\"light dark\"><meta http-equiv=\"refresh\" content=\"{RETRY_S}\">\
         <title>Under maintenance</title>\
         <body style=\"font: 1.1em/1.5 system-ui; max-width: 40em; margin: 15vh auto; padding: 0 1em\">\
         <h1>Under maintenance</h1><p>{text}</p><p>This page asks again by itself every {RETRY_S} seconds.</p>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_a_page_programs_do_not() {
        let asked = |accept: &'static str| HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
        assert!(wants_page(&asked("text/html,application/xhtml+xml,*/*;q=0.8")));
        assert!(!wants_page(&asked("*/*")) && !wants_page(&asked("application/json")));
        assert!(!wants_page(&HeaderMap::new()));
    }

    #[test]
    fn what_the_operator_says_is_text_and_never_markup() {
        let page = page("back at 5 <script>alert(\"&\")</script>");
        assert!(page.contains("back at 5 &lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt;"), "{page}");
        assert!(!page.contains("<script"));
    }
}
