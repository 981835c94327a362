//! Writes the corpus: conversations of the session with our own gateway, and small files of each kind that is read.
//!
//! `cargo run --example seed` in `fuzz/`; the same bytes each time.

use std::collections::BTreeMap;
use std::path::Path;

use alphaengine_core::market::{
    Bar, BarOpen, BookTicker, Funding, MarkPrice, MarketData, MarketUpdate, SymbolId, Timeframe, Trade,
};
use alphaengine_core::units::{NANOS_PER_MINUTE, NANOS_PER_SECOND, Price, Qty, Rate, Timestamp};
use alphaengine_fuzz::binance::{ApiKey, Bootstrap, Hosts, Signer};
use alphaengine_fuzz::desk::{Desk, STATUSES, instruments};
use alphaengine_fuzz::say::T0;
use alphaengine_fuzz::wire::{Effect, HttpRequest, HttpResponse, SocketId};
use alphaengine_sim::SimConfig;
use alphaengine_sim::gateway::{ConnectionId, Frame, Gateway, GatewayConfig, Request, Response};

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let put = |target: &str, name: &str, bytes: &[u8]| {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(name), bytes)
    };
    for (name, acts) in ACTS {
        let mut talk = Talk::of(Desk::ready().ok_or("no desk")?)?;
        talk.greet();
        talk.said.clear();
        acts.iter().for_each(|act| talk.act(act));
        put("frames", name, talk.said.as_bytes())?;
    }
    let mut talk = Talk::of(Desk::new().ok_or("no desk")?)?;
    talk.answer();
    talk.greet();
    ["R0", "quote", "R6", "R7", "R8", "T9", "R9", "R4"].iter().for_each(|act| talk.act(act));
    put("answers", "session", format!("S{}", talk.said).as_bytes())?;
    put("answers", "bootstrap", bootstrap()?.as_bytes())?;
    for (name, script) in ANSWERS {
        put("answers", name, script.as_bytes())?;
    }
    for (name, text) in ARCHIVE {
        put("archive", name, text.as_bytes())?;
    }
    for (name, text) in SECRETS {
        put("secrets", name, text.as_bytes())?;
    }
    for (name, text) in FAULTS {
        put("faults", name, text.as_bytes())?;
    }
    for (name, bytes) in STORE {
        put("store", name, bytes)?;
    }
    Ok(())
}

/// What happens in each conversation.
const ACTS: [(&str, &[&str]); 5] = [
    ("market", &["open", "quote", "trade", "mark", "T9", "bar", "open", "quote", "T9", "T9", "mark"]),
    ("order", &["open", "quote", "R0", "fall", "T6", "R2", "R6", "mark"]),
    ("stop", &["open", "quote", "R1", "fall", "R5", "R9", "T9"]),
    ("doubt", &["open", "R0", "R3", "R4", "R7", "R8", "T9", "T9"]),
    ("settings", &["open", "R:", "R;", "R6", "funding", "T9", "bar", "mark"]),
];

/// A session, our gateway, and what they said, as a script.
struct Talk {
    desk: Desk,
    gateway: Gateway,
    sockets: BTreeMap<SocketId, ConnectionId>,
    said: String,
    trades: i64,
}

impl Talk {
    fn of(desk: Desk) -> Result<Talk, Failed> {
        let instruments = instruments().ok_or("no instruments")?;
        let mut gateway = Gateway::new(GatewayConfig::default(), SimConfig::default(), &instruments);
        for minute in -3..0 {
            for symbol in [SymbolId(0), SymbolId(1)] {
                gateway.history(&update(T0 + minute * 60_000 + 59_999, symbol, bar(T0 + minute * 60_000)?));
            }
        }
        Ok(Talk { desk, gateway, sockets: BTreeMap::new(), said: String::new(), trades: 0 })
    }

    /// Plays a line and keeps it.
    fn line(&mut self, line: &str) {
        self.desk.line(line.as_bytes());
        self.said.push_str(line);
        self.said.push('\n');
    }

    /// Connects what the session wants connected.
    fn greet(&mut self) {
        loop {
            let wanted = self.desk.sockets.iter().enumerate();
            let next = wanted.map(|(index, (socket, url))| (index, *socket, url.clone()));
            let Some((index, socket, url)) = next.into_iter().find(|(_, socket, _)| !self.sockets.contains_key(socket))
            else {
                return self.hear();
            };
            let connection = ConnectionId(socket.0);
            self.sockets.insert(socket, connection);
            let after_host = url.splitn(4, '/').nth(3).unwrap_or_default();
            let (path, query) = after_host.split_once('?').unwrap_or((after_host, ""));
            // The key that the desk was told at its start is none of this gateway's; such a socket stays silent.
            let _ = self.gateway.connect(self.desk.at, connection, &format!("/{path}"), query);
            self.line(&format!("O{}", digit(index)));
            self.hear();
        }
    }

    /// Answers what was asked, until nothing is.
    fn answer(&mut self) {
        for _ in 0..100 {
            let Some(asked) = self.desk.asked.first().cloned() else { break };
            let response = ask(&mut self.gateway, self.desk.at, &asked);
            self.line(&format!("A0{}", answer(&response)));
            self.hear();
        }
    }

    fn hear(&mut self) {
        let frames: Vec<(ConnectionId, Frame)> = self.gateway.frames().collect();
        for (connection, frame) in frames {
            let index = self.desk.sockets.keys().position(|socket| socket.0 == connection.0);
            if let (Some(index), Frame::Text(text)) = (index, frame) {
                self.line(&format!("F{} {text}", digit(index)));
            }
        }
    }

    fn act(&mut self, act: &str) {
        let now = self.desk.at.millis();
        let price = |text: &str| text.parse::<Price>().unwrap_or_default();
        let size = Qty::ONE;
        let trade =
            |id: i64, at: &str| MarketData::Trade(Trade { id, price: price(at), qty: size, is_buyer_maker: true });
        let quote = |bid: &str, ask: &str| {
            let (bid, ask) = (price(bid), price(ask));
            MarketData::BookTicker(BookTicker { update_id: now, bid, bid_qty: size, ask, ask_qty: size })
        };
        self.trades += 1;
        let data = match act {
            "open" => MarketData::BarOpen(BarOpen { price: price("101"), timeframe: Timeframe::M1 }),
            "quote" => quote("100.9", "101.1"),
            "trade" => trade(self.trades, "101"),
            "fall" => trade(self.trades, "98"),
            "mark" => MarketData::MarkPrice(MarkPrice { price: price("101.05") }),
            "funding" => MarketData::Funding(Funding { rate: Rate::from_steps(10_000), mark: None }),
            "bar" => bar(now / 60_000 * 60_000).unwrap_or_else(|_| quote("100.9", "101.1")),
            line => {
                self.line(line);
                self.gateway.tick(self.desk.at);
                self.answer();
                return self.greet();
            }
        };
        let at = if act == "bar" { now / 60_000 * 60_000 + 59_999 } else { now };
        let update = update(at, SymbolId(0), data);
        self.gateway.market_moves(self.desk.at, &update);
        self.hear();
        self.gateway.market_is_told(self.desk.at, &update);
        self.hear();
    }
}

fn digit(index: usize) -> char {
    char::from(b'0' + index as u8)
}

fn update(millis: i64, symbol: SymbolId, data: MarketData) -> MarketUpdate {
    MarketUpdate { at: Timestamp::from_millis(millis).unwrap_or_default(), symbol, data }
}

fn bar(open: i64) -> Result<MarketData, Failed> {
    let price = |text: &str| text.parse::<Price>();
    Ok(MarketData::Bar(Bar {
        open_time: Timestamp::from_millis(open).ok_or("no such time")?,
        open: price("101")?,
        high: price("102")?,
        low: price("100.5")?,
        close: price("101")?,
        volume: Qty::ONE,
        timeframe: Timeframe::M1,
    }))
}

fn ask(gateway: &mut Gateway, at: Timestamp, asked: &HttpRequest) -> Response {
    let headers = if asked.with_key { vec![("x-mbx-apikey".to_owned(), "key".to_owned())] } else { Vec::new() };
    let (method, path, query) = (asked.method.name(), asked.path, asked.query.as_str());
    gateway.handle(at, &Request { method, path, query, headers: &headers, body: b"" })
}

/// An answer as a desk takes it.
fn answer(response: &Response) -> String {
    let index = STATUSES.iter().position(|status| *status == response.status).unwrap_or(1);
    format!("{}- {}", char::from(b'a' + index as u8), String::from_utf8_lossy(&response.body))
}

/// What our gateway answers to a bootstrap with a key.
fn bootstrap() -> Result<String, Failed> {
    let mut gateway =
        Gateway::new(GatewayConfig::default(), SimConfig::default(), &instruments().ok_or("no instruments")?);
    let key = ApiKey { id: "key".into(), signer: Signer::hmac("secret")? };
    let mut boot = Bootstrap::new(Hosts::testnet(), Some(key), vec!["BTCUSDT".parse()?, "ETHUSDT".parse()?]);
    let at = Timestamp::from_millis(T0).ok_or("no such time")?;
    let mut said = String::from("K");
    boot.start(at);
    while boot.result().is_none() {
        let effects: Vec<Effect> = boot.effects().collect();
        let requests: Vec<HttpRequest> = effects
            .into_iter()
            .filter_map(|effect| if let Effect::Http(request) = effect { Some(request) } else { None })
            .collect();
        if requests.is_empty() {
            return Err("the bootstrap waits".into());
        }
        for request in requests {
            let response = ask(&mut gateway, at.plus(NANOS_PER_SECOND - NANOS_PER_MINUTE / 60), &request);
            said.push_str(&format!("A0{}\n", answer(&response)));
            let Response { status, headers, body } = response;
            boot.on_http(at, request.id, Ok(HttpResponse { status, headers, body }));
        }
    }
    match boot.result() {
        Some(Ok(_)) => Ok(said),
        other => Err(format!("the bootstrap ends with {other:?}").into()),
    }
}

const ANSWERS: [(&str, &str); 6] = [
    ("refused", "KA0b- {\"code\":-2014,\"msg\":\"API-key format invalid.\"}\n"),
    (
        "limits",
        "SA0hr {\"code\":-1003,\"msg\":\"Way too many requests; IP(1.2.3.4) banned until 1750003260000.\"}\nT9\nA0ir \nT9\nA0au {\"serverTime\":1750003230000}\n",
    ),
    ("gateway", "SA0k- <html>502 Bad Gateway</html>\nL0\nN0\nT9\nA0l- \nA0a- {}\n"),
    (
        "unknown",
        "SA0a- {\"serverTime\":1750003230000}\nR0\nA0l- {\"code\":-1007,\"msg\":\"Timeout waiting for response from backend server. Send status unknown; execution status unknown.\"}\nR4\nA0b- {\"code\":-2013,\"msg\":\"Order does not exist.\"}\n",
    ),
    (
        "clock",
        "SA0a- {\"serverTime\":1750003230000}\nR0\nA0b- {\"code\":-1021,\"msg\":\"Timestamp for this request was 1000ms ahead of the server's time.\"}\n",
    ),
    ("redirect", "BA0fl \nX0\nL0\nN0\n"),
];

const ARCHIVE: [(&str, &str); 9] = [
    (
        "klines",
        "klines/BTCUSDT-1m-2024-01.csv\nopen_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n1704067200000,42314.00,42335.80,42289.60,42331.90,289.641,1704067259999,12256155.27625,3310,175.211,7414459.88450,0\n1704067260000,42331.90,42353.10,42331.80,42350.40,202.444,1704067319999,8572241.29070,2553,129.123,5467347.71160,0\n",
    ),
    (
        "klines-bare",
        "BTCUSDT-1m.csv\n1704067200000000,42314.00,42335.80,42289.60,42331.90,289.641,1704067259999999,12256155.27625,3310,175.211,7414459.88450,0\n",
    ),
    (
        "mark",
        "markPriceKlines/BTCUSDT-1m-2024-01.csv\nopen_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n1704067200000,42314.1,42335.8,42289.6,42331.9,0,1704067259999,0,60,0,0,0\n",
    ),
    (
        "funding",
        "fundingRate/BTCUSDT-fundingRate-2024-01.csv\ncalc_time,funding_interval_hours,last_funding_rate\n1704067200000,8,0.00037409\n1704096000003,8,-0.00027213\n",
    ),
    (
        "book",
        "bookTicker/BTCUSDT-bookTicker-2024-01-01.csv\nupdate_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time\n3779284836071,42314.00,1.5,42314.10,2.25,1704067200010,1704067200014\n",
    ),
    (
        "trades",
        "trades/BTCUSDT-trades-2024-01.csv\nid,price,qty,quote_qty,time,is_buyer_maker\n4453120001,42314.00,0.003,126.942,1704067200013,true\n4453120002,42313.9,0.1,4231.39,1704067200013,false\n",
    ),
    (
        "agg-trades",
        "aggTrades/BTCUSDT-aggTrades-2024-01.csv\nagg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n2008455101,42314.0,0.018,4453120001,4453120002,1704067200013,true\n",
    ),
    ("odd", "a.csv\ndate,open,high,low,close,volume\n1704067200000,1e2,\"1.5E+2\",.5,+7,\n,,,,,\n"),
    ("packed", "a.gz\n\u{1f}"),
];

const SECRETS: [(&str, &str); 5] = [
    (
        "testnet",
        "mode: testnet\ntestnet:\n  api_key: Zq7Zq7aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n  api_secret: Zq7Zq7bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n",
    ),
    (
        "both",
        "mode: production\nproduction:\n  api_key: \"Zq7Zq7c\"\n  private_key_file: key.pem\ntestnet: {api_key: Zq7Zq7d, api_secret: 'Zq7Zq7e'}\nweb:\n  secret_key: Zq7Zq7f\n",
    ),
    ("placeholder", "testnet:\n  api_key: your-key\n  api_secret: <secret>\n  Zq7Zq7: 1\n"),
    ("anchors", "a: &a {api_key: Zq7Zq7g, api_secret: Zq7Zq7h}\ntestnet: *a\nproduction:\n  <<: *a\n"),
    ("broken", "testnet:\n  api_key: |\n    Zq7Zq7i\n  api_key: [Zq7Zq7j\n"),
];

const FAULTS: [(&str, &str); 4] = [
    (
        "requests",
        r#"[{"on":{"method":"POST","path":"/fapi/v1/order","nth":3},"fault":{"kind":"drop_answer","how":"reset"}},{"on":{"path":"/fapi/*","every":10,"after":2,"until":50},"fault":{"kind":"delay","ms":250,"of":"answer"}},{"on":{"path":"/x"},"fault":{"kind":"error","code":-1021,"message":"off","executed":true}}]"#,
    ),
    (
        "frames",
        r#"[{"on":{"route":"private","contains":"TRADE","nth":2},"fault":{"kind":"lose_frame"}},{"on":{"route":"market"},"fault":{"kind":"duplicate_frame"}},{"on":{"route":"public"},"fault":{"kind":"reorder"}}]"#,
    ),
    (
        "world",
        r#"[{"on":{"nth":1},"fault":{"kind":"outage","seconds":5}},{"on":{},"fault":{"kind":"clock","shift_ms":-1500}},{"on":{},"fault":{"kind":"close_socket","route":"market","how":"close"}},{"on":{},"fault":{"kind":"ban","seconds":3}},{"on":{},"fault":{"kind":"expire_listen_keys"}},{"on":{},"fault":{"kind":"say","route":"private","text":"{}"}}]"#,
    ),
    (
        "answers",
        r#"[{"on":{},"fault":{"kind":"status","code":429,"headers":{"retry-after":"7"},"body":"x"}},{"on":{},"fault":{"kind":"html","status":503}},{"on":{},"fault":{"kind":"redirect","location":"https://x/"}},{"on":{},"fault":{"kind":"truncate_body","keep":10,"how":"eof"}},{"on":{},"fault":{"kind":"stall_body"}},{"on":{},"fault":{"kind":"slow_body","ms":9}},{"on":{},"fault":{"kind":"headers","set":{"a":"b"},"remove":["c"]}}]"#,
    ),
];

/// A store, then damages of six bytes: kind, file, place in three bytes, value.
const STORE: [(&str, &[u8]); 13] = [
    ("closed", b"c"),
    ("killed", b"k"),
    ("file", b"fSQLite format 3\0"),
    ("flipped", b"c\x01\x00\x00\x40\x00\x03"),
    ("cut", b"c\x02\x00\x00\x50\x10\x00"),
    ("zeros", b"c\x03\x00\x00\x60\x00\x00"),
    ("misdirected", b"c\x04\x00\x00\x30\x00\x05"),
    ("short-log", b"k\x05\x01\x00\x00\x00\x09"),
    ("backup", b"k\x06\x00\x00\x00\x00\x00\x06\x01\x00\x00\x00\x00"),
    ("no-log", b"k\x07\x01\x00\x00\x00\x00"),
    ("row", b"c\x09\x10\x02\x03\x05\x07\x09\x10\x00\x00\x04\x00"),
    ("tail", b"k\x09\x10\x02\x06\x08\x05"),
    ("derived", b"c\x0a\x00\x00\x00\x00\x00\x0a\x03\x00\x00\x00\x01"),
];
