//! The OpenAPI document is what the code says.

use crate::fixture::Api;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

#[test]
fn the_document_in_the_tree_is_the_codes_own() {
    let now = format!("{}\n", serde_json::to_string_pretty(&ops::http::document()).unwrap());
    if std::env::var_os("WANDERGATE_REWRITE").is_some() {
        std::fs::write(PATH, &now).unwrap();
    }
    let known = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(known == now, "ops/openapi.json is stale: WANDERGATE_REWRITE=1 cargo test -p ops openapi");
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    let document = serde_json::to_value(ops::http::document()).unwrap();
    let mut found = 0;
    let mut left = vec![&document];
    while let Some(value) = left.pop() {
        match value {
            serde_json::Value::Object(members) => {
                if let Some(target) = members.get("$ref").and_then(|t| t.as_str()) {
                    found += 1;
                    assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
                }
                left.extend(members.values());
            }
            serde_json::Value::Array(items) => left.extend(items),
            _ => {}
        }
    }
    assert!(found > 50, "{found}");
}

#[tokio::test]
async fn the_document_is_served() {
    let api = Api::start().await;
    let served = api.get("/v1/openapi.json").await;
    assert_eq!(served.body, serde_json::to_value(ops::http::document()).unwrap());
}
