use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use tripcurve::registry::Roster;
use tripcurve_dashboard::Dashboard;

/// The status, the policy for browsers, and the text.
async fn page(app: &Router, path: &str) -> (StatusCode, String, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let policy = response.headers().get("content-security-policy");
    let policy = policy.map(|it| it.to_str().unwrap().to_owned());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    (status, policy.unwrap_or_default(), text)
}

#[tokio::test]
async fn the_page_works_wherever_it_is_nested() {
    let roster = Roster::new();
    let dashboard = || Dashboard::new(&roster).router();
    let bare: Router = dashboard();
    let nested = Router::new().nest("/tools/breakers", dashboard());
    let folder = Router::new().nest_service("/tools/breakers/", dashboard());
    for (app, path, base, beside) in [
        (&bare, "/", "./", "/app.js"),
        (
            &nested,
            "/tools/breakers",
            "./breakers/",
            "/tools/breakers/app.js",
        ),
        (&folder, "/tools/breakers/", "./", "/tools/breakers/app.js"),
    ] {
        let (status, policy, text) = page(app, path).await;
        assert_eq!(status, StatusCode::OK);
        assert!(policy.starts_with("default-src 'self';"), "{policy}");
        assert!(text.contains(&format!("<base href=\"{base}\">")), "{path}");
        let (status, policy, _) = page(app, beside).await;
        assert_eq!(status, StatusCode::OK);
        assert!(policy.starts_with("default-src 'self';"), "{policy}");
    }
    let (status, ..) = page(&bare, "/none.js").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

/// Fails when: a module imports a file that the app doesn't serve.
#[tokio::test]
async fn each_file_that_the_page_names_is_there() {
    let app: Router = Dashboard::new(&Roster::new()).router();
    let mut names = vec![
        "app.js".to_owned(),
        "app.css".to_owned(),
        "icon.svg".to_owned(),
    ];
    let mut place = 0;
    while let Some(name) = names.get(place).cloned() {
        let (status, _, text) = page(&app, &format!("/{name}")).await;
        assert_eq!(status, StatusCode::OK, "{name}");
        let imports = text.split("from \"./").skip(1);
        for import in imports.filter_map(|it| it.split('"').next()) {
            if !names.iter().any(|it| it == import) {
                names.push(import.to_owned());
            }
        }
        place += 1;
    }
    assert!(names.len() > 9, "{names:?}");
}
