//! One HTTP request: read, faulted, handled by the gateway, answered.

use std::sync::Arc;
use std::time::Duration;

use alphaengine_sim::faults::{Fault, How, Subject, Way};
use alphaengine_sim::gateway::{Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::http::request;
use hyper::upgrade::OnUpgrade;
use hyper::{HeaderMap, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::body::{AnswerBody, Dropped};
use crate::control;
use crate::server::Shared;
use crate::socket;
use crate::wire::Wire;

/// The largest request body, in bytes.
const LARGEST: usize = 1 << 20;

type Answer = Result<hyper::Response<AnswerBody>, Dropped>;

/// Answers one request of the connection behind `wire`.
pub(crate) async fn answer(shared: Arc<Shared>, wire: Arc<Wire>, mut request: hyper::Request<Incoming>) -> Answer {
    let upgrade = wants_websocket(request.headers()).then(|| hyper::upgrade::on(&mut request));
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LARGEST).collect().await.map(|body| body.to_bytes()) else {
        return Ok(plain(413, "the body is larger than 1 MiB, or broke off"));
    };
    let (method, path) = (head.method.as_str(), head.uri.path());
    if let Some(call) = path.strip_prefix("/sim/v1/") {
        let query = head.uri.query().unwrap_or_default();
        return Ok(render(control::answer(&shared, method, call, query, &body), &[], None));
    }

    let faults = due(&shared, method, path);
    for fault in &faults {
        match fault {
            Fault::Delay { ms, of: Way::Request } => tokio::time::sleep(Duration::from_millis(*ms)).await,
            Fault::DropRequest { how } => return drop_connection(&wire, *how).await,
            _ => {}
        }
    }
    let replaced = faults.iter().find_map(Fault::replacement);
    let executes = faults.iter().all(Fault::is_executed);
    let outcome = match (executes, upgrade) {
        (false, _) => Outcome::Answer(Response { status: 200, headers: Vec::new(), body: Vec::new() }),
        (true, Some(upgrade)) => connect(&shared, &head, upgrade, &wire),
        (true, None) => Outcome::Answer(handle(&shared, &head, &body)),
    };
    for fault in &faults {
        match fault {
            Fault::Delay { ms, of: Way::Answer } => tokio::time::sleep(Duration::from_millis(*ms)).await,
            Fault::DropAnswer { how } => return drop_connection(&wire, *how).await,
            _ => {}
        }
    }
    Ok(match (replaced, outcome) {
        (Some(response), _) | (None, Outcome::Answer(response)) => render(response, &faults, Some(&wire)),
        (None, Outcome::Upgrade(response)) => response,
    })
}

/// What goes wrong with this request. What concerns the whole world happens at once.
fn due(shared: &Shared, method: &str, path: &str) -> Vec<Fault> {
    let mut exchange = shared.exchange();
    let (world, request) = exchange
        .faults
        .on_request(method, path)
        .into_iter()
        .partition::<Vec<Fault>, _>(|fault| fault.subject() == Subject::World);
    if !world.is_empty() {
        world.iter().for_each(|fault| exchange.happen(fault));
        exchange.flush();
    }
    request
}

enum Outcome {
    Answer(Response),
    Upgrade(hyper::Response<AnswerBody>),
}

fn handle(shared: &Shared, head: &request::Parts, body: &[u8]) -> Response {
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    shared.exchange().handle(&Request {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &headers,
        body,
    })
}

/// Opens a stream connection if the gateway takes it, and starts the task that serves it.
fn connect(shared: &Arc<Shared>, head: &request::Parts, upgrade: OnUpgrade, wire: &Arc<Wire>) -> Outcome {
    let Some(key) = head.headers.get(SEC_WEBSOCKET_KEY) else {
        let body = br#"{"code":-1102,"msg":"Sec-WebSocket-Key is missing."}"#.to_vec();
        return Outcome::Answer(Response { status: 400, headers: Vec::new(), body });
    };
    let connected = shared.exchange().connect(head.uri.path(), head.uri.query().unwrap_or_default(), wire);
    let (id, frames) = match connected {
        Ok(connection) => connection,
        Err(response) => return Outcome::Answer(response),
    };
    tokio::spawn(socket::serve(Arc::clone(shared), upgrade, id, frames, Arc::clone(wire)));
    let mut response = hyper::Response::new(AnswerBody::whole(Vec::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    Outcome::Upgrade(response)
}

fn wants_websocket(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

async fn drop_connection(wire: &Wire, how: How) -> Answer {
    match how {
        How::Timeout => std::future::pending().await,
        How::Reset => wire.end_with_reset(),
        How::Eof | How::Close => {}
    }
    Err(Dropped)
}

/// The answer's bytes, with what goes wrong on their way.
fn render(response: Response, faults: &[Fault], wire: Option<&Arc<Wire>>) -> hyper::Response<AnswerBody> {
    let Response { status, mut headers, body } = response;
    let (mut broken, mut slow) = (None, None);
    for fault in faults {
        match fault {
            Fault::Headers { set, remove } => {
                let named = |name: &str| set.keys().chain(remove).any(|changed| changed.eq_ignore_ascii_case(name));
                headers.retain(|(name, _)| !named(name));
                headers.extend(set.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
            Fault::TruncateBody { keep, how } => broken = Some((*keep, *how)),
            Fault::SlowBody { ms } => slow = Some(Duration::from_millis(*ms)),
            Fault::StallBody { keep } => broken = Some((*keep, How::Timeout)),
            _ => {}
        }
    }
    let body = match (broken, slow, wire) {
        (Some((keep, how)), _, Some(wire)) => AnswerBody::broken(body, keep, how, Arc::clone(wire)),
        (_, Some(span), _) => AnswerBody::slow(body, span),
        _ => AnswerBody::whole(body),
    };
    let mut answer = hyper::Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        // The length is told by the body itself.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value))
            && name != hyper::header::CONTENT_LENGTH
        {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}

fn plain(status: u16, text: &str) -> hyper::Response<AnswerBody> {
    render(Response { status, headers: Vec::new(), body: text.as_bytes().to_vec() }, &[], None)
}
