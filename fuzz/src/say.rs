//! What the exchange says when all is well, as text: the beginning of a session, and one message of every stream.

/// A minute's start: 2025-06-15T16:00:00Z, in milliseconds.
pub const T0: i64 = 1_750_003_200_000;

/// What the exchange answers to a request when all is well and nothing was ever traded.
pub fn usual(path: &str, now: i64) -> Option<String> {
    Some(match path {
        "/fapi/v1/time" => format!(r#"{{"serverTime":{now}}}"#),
        "/fapi/v1/listenKey" => r#"{"listenKey":"K1"}"#.to_owned(),
        "/fapi/v1/klines" => "[]".to_owned(),
        _ => return None,
    })
}

/// A message of a stream.
pub fn frame(stream: &str, at: i64) -> Option<String> {
    let (symbol, kind) = stream.split_once('@')?;
    let symbol = symbol.to_uppercase();
    let open = at / 60_000 * 60_000;
    let close = open + 59_999;
    let data = match kind {
        "bookTicker" => format!(
            r#"{{"e":"bookTicker","u":{at},"E":{at},"T":{at},"s":"{symbol}","b":"100.1","B":"1","a":"100.2","A":"2"}}"#
        ),
        "markPrice@1s" => format!(
            r#"{{"e":"markPriceUpdate","E":{at},"s":"{symbol}","p":"100.15","i":"100","P":"100","r":"0.0001","T":{at}}}"#
        ),
        "aggTrade" => format!(
            r#"{{"e":"aggTrade","E":{at},"s":"{symbol}","a":{},"p":"100.1","q":"0.5","nq":"0.5","f":1,"l":2,"T":{at},"m":true}}"#,
            at / 10_000
        ),
        "depth@100ms" => format!(
            r#"{{"e":"depthUpdate","E":{at},"T":{at},"s":"{symbol}","U":{at},"u":{at},"pu":1,"b":[],"a":[["100.2","1"]]}}"#
        ),
        "kline_1m" => format!(
            r#"{{"e":"kline","E":{at},"s":"{symbol}","k":{{"t":{open},"T":{close},"s":"{symbol}","i":"1m","f":1,"L":2,"o":"100","c":"101","h":"102","l":"99","v":"5","n":2,"x":false,"q":"1","V":"1","Q":"1","B":"0"}}}}"#
        ),
        _ => return None,
    };
    Some(format!(r#"{{"stream":"{stream}","data":{data}}}"#))
}
