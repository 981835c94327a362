//! Contracts and their rules: what the exchange's own answers say, what is refused in a sentence, and when a bar begins.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

use alphaengine_core::instrument::{Bracket, Catalog, Instruments, Symbol};
use alphaengine_core::prelude::*;
use alphaengine_core::units::{NANOS_PER_DAY, NANOS_PER_MILLI};
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

const BTC: &str = r#"{"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "marginAsset": "USDT", "filters": [
    {"filterType": "PRICE_FILTER", "minPrice": "556.80", "maxPrice": "4529764", "tickSize": "0.10"},
    {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
    {"filterType": "MIN_NOTIONAL", "notional": "100"}, {"filterType": "SOMETHING_NEW", "limit": 9}]}"#;

fn info(symbols: &str) -> Result<Catalog, String> {
    Catalog::from_exchange_info(&format!("{{\"symbols\": [{symbols}]}}")).map_err(|error| error.to_string())
}

fn btc(catalog: &Catalog) -> &Instrument {
    catalog.get(&"BTCUSDT".parse().unwrap()).unwrap()
}

fn brackets(json: &str) -> Result<Vec<Bracket>, String> {
    let mut catalog = info(BTC).unwrap();
    catalog.read_brackets(json).map_err(|error| error.to_string())?;
    Ok(btc(&catalog).brackets.clone())
}

#[test]
fn rules_are_read_from_the_exchanges_answer() {
    let catalog = info(BTC).unwrap();
    let rules = btc(&catalog);
    assert_eq!(rules.price.tick.to_string(), "0.1");
    assert_eq!((rules.lot.step.to_string(), rules.min_notional.to_string()), ("0.001".into(), "100".into()));
    assert_eq!(rules.market_lot, rules.lot, "without limits of their own market orders have those of the lot");
    // Until brackets are read, a contract is stricter than any major one.
    assert_eq!((rules.max_leverage(), rules.brackets[0].mmr.to_string()), (20, "0.05".into()));
    let unlisted = r#"{"symbol": "SOONUSDT", "status": "PENDING_TRADING", "filters": []}"#;
    assert_eq!(info(&format!("{BTC}, {unlisted}")).unwrap().symbols().count(), 1, "not listed yet");
}

#[test]
fn rules_that_cannot_be_read_name_their_place() {
    let cases = [
        (BTC.replace("0.10", "ten"), "exchangeInfo: symbols[0] (BTCUSDT): `ten` is not a decimal number"),
        (
            BTC.replace("BTCUSDT", "../etc"),
            "exchangeInfo: symbols[0] (../etc): `../etc` is not a symbol: at most 40 bytes without spaces, slashes, dots or quotes",
        ),
        (
            BTC.replace("\"minQty\"", "\"least\""),
            "exchangeInfo: symbols[0] (BTCUSDT): LOT_SIZE lacks minQty, maxQty or stepSize",
        ),
        (
            BTC.replace("\"tickSize\"", "\"tick\""),
            "exchangeInfo: symbols[0] (BTCUSDT): PRICE_FILTER lacks minPrice, maxPrice or tickSize",
        ),
        ("7".into(), "exchangeInfo: symbols[0] ()"),
    ];
    for (symbols, expected) in cases {
        let said = info(&symbols).unwrap_err();
        assert!(said.starts_with(expected), "{said}");
    }
    assert_eq!(
        Catalog::from_exchange_info("{}").unwrap_err().to_string(),
        "exchangeInfo: top level: no list `symbols`"
    );
    assert!(Catalog::from_exchange_info("<html>").unwrap_err().to_string().starts_with("exchangeInfo is not JSON: "));
    let unknown = Catalog::builtin().get(&"NOPEUSDT".parse().unwrap()).unwrap_err().to_string();
    assert!(unknown.starts_with("unknown symbol NOPEUSDT; known are "), "{unknown}");
}

#[test]
fn brackets_are_read_in_each_of_their_three_shapes() {
    let rows = r#"[{"bracket": 2, "initialLeverage": 10, "notionalCap": 2000, "notionalFloor": 1000, "maintMarginRatio": 0.02, "cum": 10.0},
                   {"bracket": 1, "initialLeverage": "20", "notionalCap": "1000", "notionalFloor": "0", "maintMarginRatio": "0.01", "cum": "0"}]"#;
    let tiers = rows.replace("{\"bracket\"", "{\"info\": {\"bracket\"").replace('}', "}}");
    let listed = brackets(&format!("[{{\"symbol\": \"BTCUSDT\", \"brackets\": {rows}}}]")).unwrap();
    let single = brackets(&format!("{{\"symbol\": \"BTCUSDT\", \"brackets\": {rows}}}")).unwrap();
    let keyed = brackets(&format!("{{\"BTC/USDT:USDT\": {tiers}, \"BTC/USDT:USDT-250926\": []}}")).unwrap();
    assert_eq!((&listed, &listed), (&single, &keyed));
    assert_eq!(listed.iter().map(|bracket| bracket.max_leverage).collect::<Vec<_>>(), [20, 10], "ascending");
    let stranger = format!("[{{\"symbol\": \"ELSEUSDT\", \"brackets\": {rows}}}]");
    assert_eq!(brackets(&stranger).unwrap()[0].max_leverage, 20, "of others nothing is taken");
}

/// The exchange writes the largest 64-bit number where there is no cap: as text, as a whole number, or as a float.
#[test]
fn a_cap_beyond_all_money_is_no_cap() {
    let rows = |cap: &str| {
        let json = format!(
            r#"[{{"symbol": "BTCUSDT", "brackets": [
                {{"initialLeverage": 20, "notionalFloor": 0, "notionalCap": 5000, "maintMarginRatio": 0.01, "cum": 0}},
                {{"initialLeverage": 1, "notionalFloor": 5000, "notionalCap": {cap}, "maintMarginRatio": 0.5, "cum": 2450}}]}}]"#
        );
        brackets(&json)
    };
    for cap in ["\"9223372036854775807\"", "9223372036854775807", "9.223372036854776e18", "18446744073709551615"] {
        let caps: Vec<Money> = rows(cap).unwrap().iter().map(|bracket| bracket.cap).collect();
        assert_eq!(caps, [Money::whole(5000), Money::MAX], "{cap}");
    }
    for cap in ["\"-9223372036854775807\"", "-9223372036854775807", "\"inf\"", "\"\"", "null", "[]"] {
        assert!(rows(cap).is_err(), "{cap}");
    }
}

#[test]
fn brackets_with_a_hole_are_refused() {
    let row = |floor: &str, cap: &str, leverage: &str, ratio: &str| {
        format!(
            r#"{{"initialLeverage": "{leverage}", "notionalFloor": "{floor}", "notionalCap": "{cap}", "maintMarginRatio": "{ratio}", "cum": "0"}}"#
        )
    };
    let cases = [
        (vec![], "no brackets"),
        (vec![row("5", "10", "20", "0.01")], "the first bracket begins at 5, not at 0"),
        (
            vec![row("0", "10", "20", "0.01"), row("11", "20", "10", "0.02")],
            "bracket 1 ends at 10 and the next begins at 11",
        ),
        (vec![row("0", "10", "0", "0.01")], "bracket from 0 has no leverage or a negative margin ratio"),
        (vec![row("0", "10", "20", "-0.01")], "bracket from 0 has no leverage or a negative margin ratio"),
        (vec![row("0", "10", "12.5", "0.01")], "`12.5` is not a whole number"),
        (vec![row("0", "10", "-1", "0.01")], "`-1` is not a whole number"),
    ];
    for (rows, expected) in cases {
        let json = format!("[{{\"symbol\": \"BTCUSDT\", \"brackets\": [{}]}}]", rows.join(","));
        assert_eq!(brackets(&json).unwrap_err(), format!("leverage brackets: BTCUSDT: {expected}"));
    }
}

/// Maintenance margin must not jump at a floor: that is what the maintenance amount is for.
#[test]
fn the_built_in_table_is_whole() {
    let catalog = Catalog::builtin();
    for symbol in catalog.symbols() {
        let rules = catalog.get(symbol).unwrap();
        assert!(rules.lot.step.is_positive() && rules.price.tick.is_positive(), "{symbol}");
        for pair in rules.brackets.windows(2) {
            let margin = |bracket: &Bracket| {
                let gross = pair[0].cap.times(bracket.mmr, Rounding::HalfEven).unwrap();
                gross.checked_sub(bracket.cum).unwrap()
            };
            assert_eq!(margin(&pair[0]), margin(&pair[1]), "{symbol} at {}", pair[0].cap);
            assert!(pair[0].max_leverage > pair[1].max_leverage && pair[0].mmr < pair[1].mmr, "{symbol}");
        }
        let first = &rules.brackets[0];
        assert_eq!(rules.bracket(first.cap), first, "a cap belongs to its bracket");
        assert_eq!(rules.bracket(first.cap.saturating_add(Money::STEP)), &rules.brackets[1]);
        assert_eq!(rules.bracket(Money::MAX), rules.brackets.last().unwrap(), "beyond the last cap");
        assert_eq!(rules.max_notional(rules.max_leverage()), first.cap);
        assert_eq!(rules.max_notional(1), rules.brackets.last().unwrap().cap);
        assert_eq!(rules.max_notional(rules.max_leverage() + 1), Money::ZERO);
    }
}

#[test]
fn names_of_contracts() {
    for good in ["BTCUSDT", "1000SHIBUSDT", "BTCUSDT_260327", "币安人生USDT"] {
        assert_eq!(good.parse::<Symbol>().unwrap().as_str(), good);
    }
    for bad in ["", " ", "BTC USDT", "BTC/USDT", "a\\b", "..", "BTC:USDT", "\"BTC\"", "BTC\n", &"X".repeat(41)] {
        assert!(bad.parse::<Symbol>().is_err(), "{bad:?}");
    }
    let rules = btc(&info(BTC).unwrap()).clone();
    assert!(Instruments::new(vec![rules; 70_000]).is_err(), "more than an id can count");
}

#[test]
fn timeframes_have_the_names_of_the_exchange() {
    for timeframe in Timeframe::ALL {
        assert_eq!(timeframe.name().parse(), Ok(timeframe));
        assert_eq!(serde_json::to_string(&timeframe).unwrap(), format!("\"{timeframe}\""));
    }
    let said = "2m".parse::<Timeframe>().unwrap_err().to_string();
    assert_eq!(said, "`2m` is not a timeframe: use one of 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w");
    let at: Timestamp = "2025-05-04T16:31:07.5Z".parse().unwrap();
    let opens = |timeframe: Timeframe| timeframe.open_time(at).to_string();
    assert_eq!(opens(Timeframe::M15), "2025-05-04T16:30:00.000Z");
    assert_eq!(opens(Timeframe::H8), "2025-05-04T16:00:00.000Z");
    assert_eq!(opens(Timeframe::W1), "2025-04-28T00:00:00.000Z", "a Sunday belongs to the week of the Monday before");
}

proptest! {
    #[test]
    fn every_instant_is_in_the_bar_that_opens_last_before_it(nanos in -1_000_000_000_000_000_000i64..4_000_000_000_000_000_000) {
        let at = Timestamp::from_nanos(nanos);
        for timeframe in Timeframe::ALL {
            let open = timeframe.open_time(at);
            prop_assert!(open <= at && at < open.plus(timeframe.nanos()));
            prop_assert_eq!(timeframe.open_time(open), open);
            let close = timeframe.close_time(open);
            prop_assert_eq!(timeframe.open_time(close), open);
            prop_assert_eq!(close.plus(NANOS_PER_MILLI), open.plus(timeframe.nanos()));
        }
        let monday = Timeframe::W1.open_time(at);
        prop_assert_eq!((monday.nanos() / NANOS_PER_DAY).rem_euclid(7), 4, "1970-01-05 was a Monday");
    }
}
