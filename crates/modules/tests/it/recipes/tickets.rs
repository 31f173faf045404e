//! Issues of Jira, GitHub and GitLab.

use serde_json::{Value, json};

use super::{Fakes, Seen, Things, is_permanent, secret};
use crate::support::invoke;

/// What these services answer, each at its own paths.
pub(super) fn answer(things: &mut Things, seen: &Seen) -> Option<(u16, Value)> {
    let body = &seen.body;
    let number = things.len() + 1;
    let mut keep = |key: String| things.insert(key, body.clone());
    Some(match (seen.method.as_str(), seen.uri.as_str()) {
        ("POST", "/rest/api/3/issue" | "/rest/api/2/issue") => {
            if body["fields"]["project"]["key"] == "NONE" {
                let errors = json!({ "project": "valid project is required" });
                return Some((400, json!({ "errorMessages": [], "errors": errors })));
            }
            keep(number.to_string());
            (
                201,
                json!({ "id": "10000", "key": format!("SEC-{number}") }),
            )
        }
        ("POST", "/repos/team/app/issues") => {
            keep(number.to_string());
            (
                201,
                json!({ "number": number, "html_url": "https://github.com/team/app/issues/1" }),
            )
        }
        ("POST", "/api/v4/projects/team%2Fapp/issues") => {
            keep(number.to_string());
            (
                201,
                json!({ "iid": number, "web_url": "https://gitlab.com/team/app/-/issues/1" }),
            )
        }
        _ => return None,
    })
}

#[tokio::test]
async fn issues_of_jira_are_created_in_the_cloud_and_elsewhere() {
    let fakes = Fakes::new().await;
    let settings = json!({ "url": "URL/", "email": "a@b.c", "token": secret("key") });
    let cloud = fakes.module("jira", &settings);
    let input = json!({ "project": "SEC", "summary": "s", "description": "d", "labels": ["a"] });
    let done = invoke(&cloud, "create_issue", input.clone()).await.unwrap();
    assert_eq!(done, json!({ "id": "10000", "key": "SEC-1" }));
    let seen = fakes.last();
    // a@b.c:hunter22-hunter22
    assert_eq!(
        seen.headers["authorization"],
        "Basic YUBiLmM6aHVudGVyMjItaHVudGVyMjI="
    );
    let text = json!([{ "type": "text", "text": "d" }]);
    let document = json!({ "type": "doc", "version": 1, "content": [{ "type": "paragraph", "content": text }] });
    let mut fields = json!({
        "project": { "key": "SEC" }, "issuetype": { "name": "Task" }, "summary": "s", "labels": ["a"],
        "description": document,
    });
    assert_eq!(
        (seen.uri.as_str(), &seen.body),
        ("/rest/api/3/issue", &json!({ "fields": fields }))
    );
    let own = fakes.module("jira_dc", &json!({ "url": "URL", "token": secret("key") }));
    assert_eq!(
        invoke(&own, "create_issue", input).await.unwrap()["key"],
        "SEC-2"
    );
    let seen = fakes.last();
    fields["description"] = "d".into();
    assert_eq!(
        (seen.uri.as_str(), &seen.body),
        ("/rest/api/2/issue", &json!({ "fields": fields }))
    );
    assert_eq!(seen.headers["authorization"], "Bearer hunter22-hunter22");
    let refused = invoke(
        &own,
        "create_issue",
        json!({ "project": "NONE", "summary": "s" }),
    )
    .await;
    assert!(
        is_permanent(&refused, "valid project is required"),
        "{refused:?}"
    );
    fakes.stop().await;
}

#[tokio::test]
async fn issues_are_opened_on_github_and_gitlab() {
    let fakes = Fakes::new().await;
    let github = fakes.module("github", &json!({ "url": "URL", "token": secret("key") }));
    let input =
        json!({ "owner": "team", "repo": "app", "title": "t", "body": "b", "labels": ["x"] });
    let done = invoke(&github, "create_issue", input).await.unwrap();
    assert_eq!(
        done,
        json!({ "number": 1, "url": "https://github.com/team/app/issues/1" })
    );
    let seen = fakes.last();
    assert_eq!(
        seen.body,
        json!({ "title": "t", "body": "b", "labels": ["x"] })
    );
    assert_eq!(seen.headers["accept"], "application/vnd.github+json");
    assert_eq!(seen.headers["x-github-api-version"], "2022-11-28");
    assert_eq!(seen.headers["authorization"], "Bearer hunter22-hunter22");
    let gitlab = fakes.module("gitlab", &json!({ "url": "URL", "token": secret("key") }));
    let input = json!({ "project": "team/app", "title": "t", "confidential": true });
    let done = invoke(&gitlab, "create_issue", input).await.unwrap();
    assert_eq!(done["iid"], 2);
    let seen = fakes.last();
    assert_eq!(seen.body, json!({ "title": "t", "confidential": true }));
    assert_eq!(seen.headers["private-token"], "hunter22-hunter22");
    // What is given stays in its place of the path.
    for (owner, expected) in [
        ("..", "a part that is"),
        ("a/../..", "a part that is"),
        ("a/b", "404 Not Found: Not Found"),
    ] {
        let input = json!({ "owner": owner, "repo": "app", "title": "t" });
        let refused = invoke(&github, "create_issue", input).await;
        assert!(is_permanent(&refused, expected), "{refused:?}");
    }
    assert_eq!(fakes.last().uri, "/repos/a%2Fb/app/issues");
    fakes.stop().await;
}
