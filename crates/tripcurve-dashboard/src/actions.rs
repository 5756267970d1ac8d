//! Actions of authorized users on breakers and groups.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tripcurve::CircuitBreaker;
use tripcurve::registry::ControlGroup;

use crate::clock;
use crate::events::What;
use crate::sampler::find;
use crate::shared::Shared;

/// The longest body of a request.
const LONGEST_BODY: usize = 1_024;

/// The function that authorizes actions.
pub(crate) type Authorize =
    Box<dyn Fn(&Attempt<'_>) -> Result<String, String> + Send + Sync + 'static>;

/// An action on a breaker or a group.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Action {
    /// Opens a breaker for some seconds; see [`CircuitBreaker::trip`].
    Trip {
        /// How long the breaker stays open: above 0, at most a day.
        seconds: f64,
    },
    /// Rejects all calls; see [`CircuitBreaker::force_open`].
    ForceOpen,
    /// Lets all calls through and records nothing; see [`CircuitBreaker::disable`].
    Disable,
    /// Lets all calls through and records them; see [`CircuitBreaker::metrics_only`].
    MetricsOnly,
    /// Closes a breaker; see [`CircuitBreaker::reset`].
    Reset,
    /// Isolates a group; see [`ControlGroup::isolate`].
    Isolate,
    /// Ends the isolation of a group; see [`ControlGroup::release`].
    Release,
}

impl Action {
    /// The action in one word, such as `force-open`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trip { .. } => "trip",
            Self::ForceOpen => "force-open",
            Self::Disable => "disable",
            Self::MetricsOnly => "metrics-only",
            Self::Reset => "reset",
            Self::Isolate => "isolate",
            Self::Release => "release",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The body of a request: an action, and the card that the user saw.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    action: Action,
    id: Option<u32>,
}

impl Wanted {
    fn parse(body: &[u8]) -> serde_json::Result<Self> {
        let mut fields: serde_json::Map<String, Value> = serde_json::from_slice(body)?;
        let id = fields.remove("id").map(serde_json::from_value);
        Ok(Self {
            id: id.transpose()?.flatten(),
            action: serde_json::from_value(Value::Object(fields))?,
        })
    }
}

/// The target of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target<'a> {
    /// A breaker, by its key in the API.
    Breaker(&'a str),
    /// A group, by the name that [`Dashboard::group`](crate::Dashboard::group) gave it.
    Group(&'a str),
}

/// A request to act, for the function of [`Dashboard::authorize`](crate::Dashboard::authorize).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// The action.
    pub action: Action,
    /// The target of the action.
    pub target: Target<'a>,
    /// The request without its body: headers, and the extensions of your middleware.
    pub request: &'a Parts,
}

/// An answer that says why nothing was done.
#[derive(Debug)]
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "version": 1, "error": self.1 }))).into_response()
    }
}

fn forbidden(why: impl Into<String>) -> Refusal {
    Refusal(StatusCode::FORBIDDEN, why.into())
}

fn bad(why: impl Into<String>) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, why.into())
}

/// Acts on a breaker.
pub(crate) async fn on_breaker(
    State(shared): State<Arc<Shared>>,
    Path(key): Path<String>,
    request: Request,
) -> Response {
    let Some(breaker) = find(&shared, &key) else {
        return not_found("breaker", &key).into_response();
    };
    let act = |Wanted { action, id }| {
        if id.is_some_and(|id| !shared.frames().borrow().is_key_of(id, &key)) {
            return Err(Refusal(
                StatusCode::CONFLICT,
                format!("{key:?} is another breaker now; look again before you act"),
            ));
        }
        act_on_breaker(&breaker, action)
    };
    respond(&shared, Target::Breaker(&key), request, act).await
}

/// Acts on a group.
pub(crate) async fn on_group(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let groups = &shared.settings.groups;
    let Some((_, group)) = groups.iter().find(|(own, _)| *own == name) else {
        return not_found("group", &name).into_response();
    };
    let act = |wanted: Wanted| act_on_group(group, wanted.action);
    respond(&shared, Target::Group(&name), request, act).await
}

fn not_found(what: &str, name: &str) -> Refusal {
    Refusal(
        StatusCode::NOT_FOUND,
        format!("there is no {what} {name:?}"),
    )
}

async fn respond(
    shared: &Arc<Shared>,
    target: Target<'_>,
    request: Request,
    act: impl FnOnce(Wanted) -> Result<(), Refusal>,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LONGEST_BODY).await;
    let outcome = body
        .map_err(|_| bad(format!("the body must have at most {LONGEST_BODY} bytes")))
        .and_then(|body| attempt(shared, target, &parts, &body, act));
    match outcome {
        Ok(event) => Json(json!({ "version": 1, "event": event })).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

fn attempt(
    shared: &Shared,
    target: Target<'_>,
    request: &Parts,
    body: &[u8],
    act: impl FnOnce(Wanted) -> Result<(), Refusal>,
) -> Result<u64, Refusal> {
    let authorize = shared.settings.authorize.as_ref();
    let authorize = authorize.ok_or_else(|| {
        forbidden("this dashboard only shows: the program gave it no authorization function")
    })?;
    check_origin(&request.headers)?;
    check_content_type(&request.headers)?;
    let wanted = Wanted::parse(body).map_err(|error| bad(format!("no action: {error}")))?;
    let action = wanted.action;
    let attempt = Attempt {
        action,
        target,
        request,
    };
    let actor = authorize(&attempt).map_err(forbidden)?;
    let seconds = match action {
        Action::Trip { seconds } => Some(seconds),
        _ => None,
    };
    act(wanted)?;
    let (on, name) = match target {
        Target::Breaker(key) => ("breaker", key),
        Target::Group(name) => ("group", name),
    };
    let what = What::Action {
        action: action.as_str(),
        on,
        actor,
        seconds,
    };
    // The sampler adds the transition later, so the action usually comes first.
    Ok(shared.log().add(name, clock::now(), what))
}

fn act_on_breaker(breaker: &CircuitBreaker, action: Action) -> Result<(), Refusal> {
    match action {
        Action::Trip { seconds } => {
            let is_sensible = seconds > 0.0 && seconds <= 86_400.0;
            let duration = Duration::try_from_secs_f64(seconds).ok();
            let duration = duration.filter(|_| is_sensible).ok_or_else(|| {
                bad(format!(
                    "seconds is {seconds}; expected above 0, at most 86400"
                ))
            })?;
            breaker.trip(duration);
        }
        Action::ForceOpen => breaker.force_open(),
        Action::Disable => breaker.disable(),
        Action::MetricsOnly => breaker.metrics_only(),
        Action::Reset => breaker.reset(),
        Action::Isolate | Action::Release => {
            return Err(bad(format!(
                "{action} is for groups; a breaker can't do it"
            )));
        }
    }
    Ok(())
}

fn act_on_group(group: &ControlGroup, action: Action) -> Result<(), Refusal> {
    match action {
        Action::Isolate => group.isolate(),
        Action::Release => group.release(),
        _ => {
            return Err(bad(format!(
                "{action} is for breakers; a group can't do it"
            )));
        }
    }
    Ok(())
}

/// Refuses requests that another site's page may have made in the user's name.
fn check_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name: &str| headers.get(name).and_then(|it| it.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        if site == "same-origin" {
            return Ok(());
        }
        return Err(forbidden(format!("the request is {site}, not same-origin")));
    }
    let Some(origin) = text("origin") else {
        return Err(forbidden("the request has no Origin and no Sec-Fetch-Site"));
    };
    let own = text("host").unwrap_or_default();
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    if authority.is_some_and(|it| !it.is_empty() && it.eq_ignore_ascii_case(own)) {
        return Ok(());
    }
    Err(forbidden(format!(
        "the request is from {origin}, not from {own}"
    )))
}

/// Refuses what a form of another site could send.
fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let found = headers.get(header::CONTENT_TYPE);
    let found = found.and_then(|it| it.to_str().ok()).unwrap_or_default();
    if found.split(';').next().map(str::trim) == Some("application/json") {
        return Ok(());
    }
    let why = "the content type must be application/json".to_owned();
    Err(Refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, why))
}

#[cfg(test)]
mod tests {
    use tripcurve::{CircuitBreaker, State};

    use super::{Action, act_on_breaker};

    #[test]
    fn an_action_is_shown_as_the_page_sends_it() {
        assert_eq!(format!("{:>8}", Action::Reset), "   reset");
    }

    #[test]
    fn a_trip_lasts_above_0_seconds_and_at_most_a_day() {
        let breaker = CircuitBreaker::new("payments");
        for seconds in [0.0, -1.0, 86_400.1, f64::NAN, f64::INFINITY] {
            assert!(act_on_breaker(&breaker, Action::Trip { seconds }).is_err());
            assert_eq!(breaker.state(), State::Closed);
        }
        assert!(act_on_breaker(&breaker, Action::Trip { seconds: 86_400.0 }).is_ok());
        assert_eq!(breaker.state(), State::Open);
    }
}
