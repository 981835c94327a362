//! The HTTP half of the driver: one request, one answer or one reason why there is none.
//!
//! Nothing is repeated and no redirect is followed: whether a request may be sent again is for the session to decide.

use std::error::Error as _;
use std::time::Duration;

use alphaengine_core::units::Nanos;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};
use reqwest::{Client, redirect, retry};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{DriverConfig, Error};
use crate::logging::redact;
use crate::wire::{HttpRequest, HttpResponse, Method, TransportError};

/// Binance wants the key under this name (`binance-usdm.md` section 2).
const KEY_HEADER: &str = "x-mbx-apikey";
/// Idle connections are given up well before the other side is likely to: a request that meets a dying connection is lost.
const IDLE: Duration = Duration::from_secs(15);

pub(crate) struct Http {
    client: Client,
    base: String,
    key: Option<HeaderValue>,
    max_body: usize,
    /// Reads wait for each other and never hold up an order.
    reads: Semaphore,
    writes: Semaphore,
}

impl Http {
    pub(crate) fn new(config: &DriverConfig) -> Result<Http, Error> {
        let base = config.rest.trim_end_matches('/');
        let url = reqwest::Url::parse(base).map_err(|_| Error::BadUrl(config.rest.clone()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || url.query().is_some() {
            return Err(Error::BadUrl(config.rest.clone()));
        }
        let key = match &config.api_key {
            None => None,
            Some(key) => {
                let mut value = HeaderValue::from_str(key.reveal()).map_err(|_| Error::BadKey)?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let mut builder = Client::builder();
        if url.scheme() == "http" {
            // The system's certificates are not needed then, and a bare container may have none.
            builder = builder.tls_certs_only([]);
        }
        let client = builder
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .referer(false)
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(config.connect_timeout)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(config.requests_in_flight)
            .user_agent(concat!("alphaengine/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::Tls(chain(&error)))?;
        Ok(Http {
            client,
            base: base.to_owned(),
            key,
            max_body: config.max_body,
            reads: Semaphore::new(config.requests_in_flight.clamp(1, Semaphore::MAX_PERMITS)),
            writes: Semaphore::new(config.requests_in_flight.clamp(1, Semaphore::MAX_PERMITS)),
        })
    }

    /// Sends one request once its turn has come, and reads the whole answer within the request's time-out.
    pub(crate) async fn ask(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let span = duration(request.timeout);
        let line = if request.method == Method::Get { &self.reads } else { &self.writes };
        let Ok(Ok(_turn)) = timeout(span, line.acquire()).await else {
            return Err(TransportError::NotSent(format!("no turn within {span:?}: too many requests are under way")));
        };
        match timeout(span, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(TransportError::Lost(format!("no complete answer within {span:?}"))),
        }
    }

    async fn exchange(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let sent = self.build(request)?;
        let mut response = self.client.execute(sent).await.map_err(classify)?;
        let status = response.status().as_u16();
        let headers = plain(response.headers());
        let mut body = Vec::new();
        // A body that ends early is an error here, and with it the answer is lost, whatever its status said.
        while let Some(chunk) = response.chunk().await.map_err(|error| lost(error, "in the middle of the answer"))? {
            if body.len().saturating_add(chunk.len()) > self.max_body {
                return Err(TransportError::Lost(format!("the answer is longer than {} bytes", self.max_body)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse { status, headers, body })
    }

    fn build(&self, request: &HttpRequest) -> Result<reqwest::Request, TransportError> {
        let mut url = format!("{}{}", self.base, request.path);
        if !request.query.is_empty() {
            url.push('?');
            url.push_str(&request.query);
        }
        let url = reqwest::Url::parse(&url)
            .map_err(|_| TransportError::NotSent(format!("`{}` makes no valid URL", request.path)))?;
        let mut sent = reqwest::Request::new(method(request.method), url);
        if matches!(request.method, Method::Post | Method::Put) {
            // The client leaves it out for an empty body; gateways answer 411 without it.
            sent.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        if request.with_key {
            let key = self.key.clone().ok_or_else(|| {
                TransportError::NotSent(
                    "the request needs an API key and none was given: see config/secrets.yaml".into(),
                )
            })?;
            sent.headers_mut().insert(KEY_HEADER, key);
        }
        Ok(sent)
    }
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Delete => reqwest::Method::DELETE,
    }
}

/// Only an error of the connector (name, TCP, TLS, connect time-out) proves that no byte of the request left. Whatever else
/// happened counts as lost.
fn classify(error: reqwest::Error) -> TransportError {
    if error.is_connect() || error.is_builder() {
        TransportError::NotSent(connect_sentence(&error))
    } else {
        lost(error, "before the answer")
    }
}

fn lost(error: reqwest::Error, when: &str) -> TransportError {
    // The URL holds the signature, and a library may quote it in a cause as well.
    TransportError::Lost(redact(&format!("{when}: {}", chain(&error.without_url()))).into_owned())
}

fn connect_sentence(error: &reqwest::Error) -> String {
    let host = error.url().and_then(|url| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?)));
    let host = host.unwrap_or_else(|| "the exchange".to_owned());
    let cause = causes(error).last().cloned().unwrap_or_default();
    if error.is_dns() {
        return format!("the name of {host} did not resolve ({cause}): check --rest-url and the network");
    }
    if error.is_timeout() {
        return format!("no connection to {host} in time: check --rest-url, the network and the firewall");
    }
    super::sentence::no_connection(&host, error, "--rest-url")
}

/// The error and its causes in one line, without the URL.
fn chain(error: &reqwest::Error) -> String {
    causes(error).join(": ")
}

fn causes(error: &reqwest::Error) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        // Layers often repeat what lies below them.
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        next = cause.source();
    }
    texts
}

/// Header values that are not text are left out: nothing that Binance says is.
fn plain(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect()
}

pub(crate) fn duration(span: Nanos) -> Duration {
    Duration::from_nanos(u64::try_from(span).unwrap_or(0))
}
