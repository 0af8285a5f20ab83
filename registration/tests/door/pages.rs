//! The pages, as a browser without scripts and a link preview see them.

use state::Store;

use super::fixture::{Door, Setup};

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn a_get_shows_the_invite_and_redeems_nothing_however_often() {
    let door = Door::start(Setup::default()).await;
    let code = door.invite("alice", 1).await;
    for path in
        [code.path(), code.path().to_lowercase(), format!("/i?code={code}"), code.path().replace('-', "")]
    {
        let page = door.get(&path).await;
        assert_eq!(page.status(), 200, "{path}");
        assert!(page.body().contains("<strong>alice</strong>") && page.body().contains("method=\"post\""));
    }
    let head = door.ask("HEAD", &code.path(), "", b"").await;
    assert_eq!((head.status(), head.body()), (200, ""));
    let records = door.store.read();
    assert!(records.invite(&code.hash()).unwrap().used.is_none());
    assert_eq!(records.devices().count(), 0);
}

#[tokio::test]
async fn a_form_redeems_once_and_shows_the_private_address_once() {
    let door = Door::start(Setup::default()).await;
    let code = door.invite("alice", 1).await;
    let page = door.ask("POST", &code.path(), FORM, b"device=My+Phone").await;
    assert_eq!(page.status(), 201, "{page:?}");
    let label = door.store.read().grants().next().unwrap().1.label.unwrap();
    let web = format!("{label}.edge.example.net");
    for line in [format!("https://{web}:8443/"), format!("curl https://{web}:8443/")] {
        assert!(page.body().contains(&line), "{line}");
    }
    assert!(!page.body().contains("ssh -p"), "only HTTP is carried yet");
    assert!(page.body().contains("alice on my-phone"));
    let again = door.ask("POST", &code.path(), FORM, b"device=other").await;
    assert_eq!(again.status(), 410);
    assert!(again.body().contains("W-4102") && again.body().contains("my-phone"));
    assert!(!again.body().contains(&label.to_string()), "shown once");
    assert_eq!(door.get(&code.path()).await.status(), 410);
}

#[tokio::test]
async fn pages_are_accessible_strict_and_kept_nowhere() {
    let door = Door::start(Setup::default()).await;
    let code = door.invite("alice", 1).await;
    for path in ["/".to_owned(), code.path(), "/i/none".to_owned()] {
        let page = door.get(&path).await;
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        let body = page.body();
        for needed in ["<html lang=\"en\">", "<title>", "<main>", "<h1>", "name=\"viewport\""] {
            assert!(body.contains(needed), "{path} lacks {needed}");
        }
        assert_eq!(body.matches("<input id=").count(), body.matches("<label for=").count(), "{path}");
        assert!(!body.contains("<script"));
    }
}

#[tokio::test]
async fn what_is_typed_into_a_form_never_comes_back_as_markup() {
    let door = Door::start(Setup::default()).await;
    let code = door.invite("alice", 1).await;
    let hostile = "%3Cscript%3Ealert(1)%3C/script%3E";
    for (path, form) in [
        (code.path(), format!("device={hostile}&{hostile}=1")),
        (code.path(), String::from("device=%ff%00%22")),
        (code.path(), String::new()),
        (format!("/i/{hostile}"), String::from("device=a")),
        ("/i/%ff%fe".to_owned(), String::from("device=a")),
    ] {
        let page = door.ask("POST", &path, FORM, form.as_bytes()).await;
        assert!((400..500).contains(&page.status()), "{path} {form}: {page:?}");
        assert!(!page.body().contains("<script"), "{page:?}");
    }
    assert_eq!(door.store.read().devices().count(), 0);
    let shown = door.get(&format!("/i?code={hostile}")).await;
    assert!(shown.status() == 403 && !shown.body().contains("<script"));
}
