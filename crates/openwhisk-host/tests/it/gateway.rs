//! The answers of `whisk.system/apimgmt`, as `wsk api` and the npm client ask for them.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use crate::harness::{Reply, World};

const ROOT: &str = "/api/v1/web/whisk.system/apimgmt";

fn route(path: &str, method: &str) -> Value {
    json!({ "apidoc": {
        "namespace": "guest",
        "gatewayBasePath": "/club",
        "gatewayPath": path,
        "gatewayMethod": method,
        "id": "API:guest:/club",
        "action": {
            "name": "books/get",
            "namespace": "guest",
            "backendMethod": "POST",
            "backendUrl": "http://host/api/v1/web/guest/books/get.http",
            "authkey": "a:b",
        },
    } })
}

async fn ask(world: &World, method: Method, path: &str, body: Option<Value>) -> Reply {
    let path = format!("{ROOT}/{path}");
    world.as_user(world.guest(), method, &path, body).await
}

#[tokio::test]
async fn an_api_is_made_route_by_route_listed_and_removed() {
    let world = World::new().await;
    let create = async |path: &str, method: &str| {
        let body = Some(route(path, method));
        let query = "createApi.http?responsetype=json&accesstoken=x&spaceguid=y";
        ask(&world, Method::POST, query, body).await.of(200)
    };
    let made = create("/books", "get").await;
    assert_eq!(made["gwApiActivated"], true);
    let url = made["gwApiUrl"].as_str().unwrap();
    assert!(
        url.ends_with(&format!("/api/{}/club", world.guest().uuid)),
        "{url}"
    );
    let operation = &made["apidoc"]["paths"]["/books"]["get"];
    assert_eq!(
        operation["x-openwhisk"]["url"],
        "http://host/api/v1/web/guest/books/get.json"
    );
    assert_eq!(operation["x-openwhisk"]["package"], "books");
    let made = create("/books", "post").await;
    assert_eq!(
        made["apidoc"]["paths"]["/books"].as_object().unwrap().len(),
        2
    );
    create("/members", "get").await;

    let list = ask(&world, Method::GET, "getApi.http", None).await.of(200);
    assert_eq!(list["apis"].as_array().unwrap().len(), 1);
    assert_eq!(list["apis"][0]["value"]["apidoc"]["basePath"], "/club");
    let query = "getApi?basepath=/club&relpath=/books&operation=get";
    let one = ask(&world, Method::GET, query, None).await.of(200);
    let paths = one["apis"][0]["value"]["apidoc"]["paths"].clone();
    assert_eq!(paths.as_object().unwrap().len(), 1);
    assert_eq!(paths["/books"].as_object().unwrap().len(), 1);
    let none = ask(&world, Method::GET, "getApi?basepath=/none", None)
        .await
        .of(200);
    assert_eq!(none, json!({ "apis": [] }));

    let delete =
        async |query: &str| ask(&world, Method::DELETE, &format!("deleteApi?{query}"), None).await;
    assert_eq!(
        delete("basepath=/club&relpath=/books&operation=get")
            .await
            .of(200),
        json!({})
    );
    let left = ask(&world, Method::GET, "getApi", None).await.of(200);
    let paths = left["apis"][0]["value"]["apidoc"]["paths"].clone();
    assert_eq!(paths["/books"].as_object().unwrap().len(), 1);
    delete("basepath=/club&relpath=/books").await.of(200);
    delete("basepath=/club&relpath=/members").await.of(200);
    let list = ask(&world, Method::GET, "getApi", None).await.of(200);
    assert_eq!(
        list,
        json!({ "apis": [] }),
        "the last route takes the API along"
    );
    delete("basepath=/club").await.of(404);
}

#[tokio::test]
async fn a_whole_description_is_taken_and_belongs_to_its_namespace() {
    let world = World::new().await;
    let swagger = json!({ "swagger": "2.0", "basePath": "/whole", "info": { "title": "Mine", "version": "1.0.0" }, "paths": { "/a": {} } });
    let body = json!({ "apidoc": { "namespace": "guest", "swagger": swagger.to_string() } });
    let made = ask(&world, Method::POST, "createApi.http", Some(body))
        .await
        .of(200);
    assert_eq!(made["apidoc"], swagger);
    let by_title = ask(&world, Method::GET, "getApi?basepath=Mine", None)
        .await
        .of(200);
    assert_eq!(by_title["apis"].as_array().unwrap().len(), 1);
    let object = json!({ "swagger": "2.0", "basePath": "/x", "paths": {} });
    let body = json!({ "apidoc": { "namespace": "_", "swagger": object } });
    let made = ask(&world, Method::POST, "createApi", Some(body)).await;
    assert_eq!(made.of(200)["apidoc"], object, "as frameworks send it");
    let other = world.other().clone();
    let path = format!("{ROOT}/getApi");
    let theirs = world.as_user(&other, Method::GET, &path, None).await;
    assert_eq!(theirs.of(200), json!({ "apis": [] }));
    let bare = Request::get(&path).body(Body::empty()).unwrap();
    assert_eq!(world.send(bare).await.status, 401);
    ask(&world, Method::POST, "createApi", Some(json!({})))
        .await
        .of(400);
    ask(&world, Method::GET, "danceApi", None).await.of(404);
    ask(&world, Method::DELETE, "deleteApi?basepath=Mine", None)
        .await
        .of(200);
}
