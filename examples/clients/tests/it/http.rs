//! The clients of HTTP, and the gateway.

use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use tokio::runtime::Runtime;

use crate::phases::{Answer, Server, with_a_breaker, without_a_breaker};
use crate::program::Program;
use crate::shop::{PRICE, Shop};

/// Asks a program for prices of `shop`, by its standard input.
fn by_lines(path: &str, shop: &Shop) -> impl FnMut() -> Answer {
    let mut program = Program::start(path, &[&shop.url]);
    move || {
        let answer = program.ask("Emma");
        Answer::of(&answer, answer.ends_with(PRICE))
    }
}

/// A gateway before two shops.
struct Gateway {
    url: String,
    runtime: Runtime,
    client: reqwest::Client,
    _program: Program,
}

impl Gateway {
    fn start(path: &str, books: &Shop, prices: &Shop) -> Self {
        let mut program = Program::start(path, &[&books.url, &prices.url]);
        Self {
            url: program.line(),
            runtime: Runtime::new().unwrap(),
            client: reqwest::Client::new(),
            _program: program,
        }
    }

    fn ask(&self, upstream: &str) -> Answer {
        self.runtime.block_on(async {
            let request = self.client.get(format!("{}/{upstream}/Emma", self.url));
            let response = request.send().await.unwrap();
            let (status, head) = (response.status(), response.headers().clone());
            let body = response.text().await.unwrap();
            let answer = Answer::of(&body, body == PRICE);
            let expected = match answer {
                Answer::Price => StatusCode::OK,
                Answer::Failure => StatusCode::INTERNAL_SERVER_ERROR,
                Answer::Rejection => StatusCode::SERVICE_UNAVAILABLE,
            };
            assert_eq!(status, expected, "{body}");
            let retry_after = head.get(RETRY_AFTER).and_then(|wait| wait.to_str().ok());
            let seconds = retry_after.map(|seconds| seconds.parse::<u64>().unwrap());
            assert_eq!(seconds.is_some(), answer == Answer::Rejection);
            assert!(seconds.is_none_or(|seconds| seconds >= 1));
            answer
        })
    }
}

#[test]
fn axum_has_a_breaker_for_each_upstream() {
    let (books, prices) = (Shop::open(), Shop::open());
    let gateway = Gateway::start(env!("CARGO_BIN_EXE_with-axum"), &books, &prices);
    with_a_breaker(&books, || {
        let answer = gateway.ask("books");
        assert_eq!(gateway.ask("prices"), Answer::Price, "the other upstream");
        answer
    });
    assert!(prices.calls() > 30);
}

#[test]
fn axum_without_a_breaker() {
    let (books, prices) = (Shop::open(), Shop::open());
    let gateway = Gateway::start(env!("CARGO_BIN_EXE_without-axum"), &books, &prices);
    without_a_breaker(&books, || gateway.ask("books"));
}

#[test]
fn reqwest_as_a_service() {
    let shop = Shop::open();
    with_a_breaker(&shop, by_lines(env!("CARGO_BIN_EXE_with-reqwest"), &shop));
    without_a_breaker(
        &shop,
        by_lines(env!("CARGO_BIN_EXE_without-reqwest"), &shop),
    );
}

#[test]
fn reqwest_with_a_middleware() {
    let shop = Shop::open();
    let with = env!("CARGO_BIN_EXE_with-reqwest-middleware");
    with_a_breaker(&shop, by_lines(with, &shop));
    let without = env!("CARGO_BIN_EXE_without-reqwest-middleware");
    without_a_breaker(&shop, by_lines(without, &shop));
}

#[test]
fn hyper_as_a_service() {
    let shop = Shop::open();
    with_a_breaker(&shop, by_lines(env!("CARGO_BIN_EXE_with-hyper"), &shop));
    without_a_breaker(&shop, by_lines(env!("CARGO_BIN_EXE_without-hyper"), &shop));
}
