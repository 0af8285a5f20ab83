//! Acts may be written with a colon too, as many HTTP APIs have them: `/v1/users/bob:revoke`. The router takes no suffix
//! after a parameter, so it is read as `/v1/users/bob/revoke` before the router sees it.

use http::Request;
use http::uri::{PathAndQuery, Uri};

/// The request with its path in the one form that the router knows.
pub(super) fn slashed<B>(mut request: Request<B>) -> Request<B> {
    if let Some(uri) = with_slash(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

/// `None` where there is nothing to change. Only a last segment `NAME:ACT` of letters and hyphens counts: an IPv6 address stays.
fn with_slash(uri: &Uri) -> Option<Uri> {
    let (path, act) = uri.path().rsplit_once(':')?;
    let named = path.rsplit_once('/').is_some_and(|(_, name)| !name.is_empty() && !name.contains(':'));
    if !named || act.is_empty() || !act.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
        return None;
    }
    let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(format!("{path}/{act}{query}")).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> String {
        slashed(Request::get(path).body(()).unwrap()).uri().to_string()
    }

    #[test]
    fn an_act_after_a_colon_is_the_act_after_a_slash() {
        assert_eq!(read("/v1/users/bob:revoke"), "/v1/users/bob/revoke");
        assert_eq!(read("/v1/hubs/hub-a1:step-down"), "/v1/hubs/hub-a1/step-down");
        assert_eq!(read("/v1/users/bob:revoke?dry_run=true"), "/v1/users/bob/revoke?dry_run=true");
        assert_eq!(
            read("http://localhost/v1/schedules/standard:preview"),
            "http://localhost/v1/schedules/standard/preview"
        );
    }

    #[test]
    fn whatever_else_has_a_colon_stays_as_it_is() {
        for path in [
            "/v1/users/bob",
            "/v1/why?target=2001:db8::1",
            "/v1/x/a:b:c",
            "/v1/x/:act",
            "/v1/x/a:",
            "/v1/x/a:B1",
            "*",
        ] {
            assert_eq!(read(path), path);
        }
    }
}
