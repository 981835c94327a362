//! User events: fills, conditional orders, funding, settings, the listen key, and what is not known.

use alphaengine_core::exchange::{ExchangeUpdate, Execution, ExpiryReason, OrderUpdate, Setting};
use alphaengine_core::link::{LinkUpdate, Route};
use alphaengine_live::wire::Method;

use crate::world::{BTC, MINUTE, SECOND, World, config};

pub fn order(id: u64, name: &str, fields: &str) -> String {
    format!(
        r#"{{"e":"ORDER_TRADE_UPDATE","E":1750003230005,"T":1750003230000,"o":{{"s":"BTCUSDT","c":"{name}","S":"BUY","o":"LIMIT","f":"GTC","q":"0.01","p":"50000","ap":"0","sp":"0","i":{id},"l":"0","z":"0","L":"0","T":1750003230000,"t":0,"ot":"LIMIT","ps":"BOTH","rp":"0",{fields}}}}}"#
    )
    .replace(r#""l":"0","z":"0","L":"0","T":1750003230000,"t":0,"#, if fields.contains(r#""l":"#) { r#""T":1750003230000,"# } else { r#""l":"0","z":"0","L":"0","T":1750003230000,"t":0,"# })
}

pub const FILL: &str =
    r#""x":"TRADE","X":"FILLED","l":"0.01","z":"0.01","L":"49999.9","N":"USDT","n":"0.25","t":777,"m":true"#;

pub fn algo(status: &str, rest: &str) -> String {
    format!(
        r#"{{"e":"ALGO_UPDATE","T":1750003230000,"E":1750003230003,"o":{{"caid":"ae-5","aid":2148719,"at":"CONDITIONAL","o":"STOP_MARKET","s":"BTCUSDT","S":"SELL","ps":"BOTH","f":"GTC","X":"{status}","tp":"750","p":"0",{rest}}}}}"#
    )
}

fn executions(world: &World) -> Vec<(String, u64, Execution)> {
    let of = |update: ExchangeUpdate| match update {
        ExchangeUpdate::Order(OrderUpdate { client_order_id, order_id, execution, .. }) => {
            Some((client_order_id.to_string(), order_id, execution))
        }
        _ => None,
    };
    world.updates().into_iter().filter_map(of).collect()
}

#[test]
fn an_order_s_life_is_told_as_it_happens() {
    let mut world = World::ready(config());
    world.user(&order(7, "ae-1", r#""x":"NEW","X":"NEW""#));
    world.user(&order(7, "ae-1", FILL));
    world.user(&order(8, "ae-2", r#""x":"EXPIRED","X":"EXPIRED_IN_MATCH","er":"1""#));
    world.user(&order(9, "ae-3", r#""x":"AMENDMENT","X":"NEW""#));
    world.user(&order(9, "ae-3", r#""x":"CANCELED","X":"CANCELED""#));
    let told = executions(&world);
    let Execution::Trade(fill) = told[1].2 else { panic!("{told:?}") };
    assert_eq!((fill.trade_id, fill.fee.to_string(), fill.is_maker), (777, "0.25".into(), true));
    let (qty, price) = ("0.01".parse().unwrap(), "50000".parse().unwrap());
    assert_eq!(told[0].2, Execution::New);
    assert_eq!(told[2].2, Execution::Expired(ExpiryReason::SelfTradePrevention));
    assert_eq!(told[3].2, Execution::Amended { qty, price });
    assert_eq!(told[4].2, Execution::Canceled);
}

#[test]
fn a_fill_without_a_fee_and_a_liquidation_are_fills() {
    let mut world = World::ready(config());
    world.user(&order(7, "ae-1", r#""x":"TRADE","X":"FILLED","l":"0.01","z":"0.01","L":"49999.9","t":777,"m":true"#));
    let liquidation = FILL.replace("TRADE", "CALCULATED");
    world.user(&order(8, "autoclose-1750003230000", &liquidation));
    let told = executions(&world);
    assert!(matches!(told[0].2, Execution::Trade(fill) if fill.fee.is_zero() && fill.fee_asset.as_str() == "USDT"));
    assert!(matches!(told[1].2, Execution::Trade(fill) if fill.is_liquidation));
    assert_eq!(told[1].0, "autoclose-1750003230000");
}

#[test]
fn a_frame_that_comes_twice_counts_once() {
    let mut world = World::ready(config());
    world.user(&order(7, "ae-1", FILL));
    world.user(&order(7, "ae-1", FILL));
    assert_eq!(executions(&world).len(), 1);
    assert_eq!(world.session.figures().strangers.duplicates, 1);
}

#[test]
fn a_child_is_known_by_its_number_whatever_its_name_is() {
    let mut world = World::ready(config());
    world.user(&algo("NEW", r#""q":"0.01","ai":"""#));
    world.user(&algo("TRIGGERING", r#""q":"0.01","ai":"""#));
    world.user(&algo("TRIGGERED", r#""q":"0.01","ai":"99""#));
    world.user(&order(99, "x-other", FILL));
    world.user(&algo("FINISHED", r#""q":"0.01","ai":"99","aq":"0.01""#));
    let told = executions(&world);
    let qty = "0.01".parse().unwrap();
    assert_eq!(told[0], ("ae-5".into(), 2148719, Execution::New));
    assert_eq!(told[1], ("ae-5".into(), 2148719, Execution::Triggered { child: 99, qty }));
    assert!(matches!(&told[2], (name, 99, Execution::Trade(_)) if name == "ae-5"));
    assert_eq!(told.len(), 3);
}

#[test]
fn a_child_that_overtakes_its_trigger_waits_for_it_but_not_for_ever() {
    let mut world = World::ready(config());
    let child = |id, name| order(id, name, FILL).replace(r#""ot":"LIMIT""#, r#""ot":"STOP_MARKET""#);
    world.user(&child(99, "x-other"));
    assert_eq!(executions(&world), []);
    world.user(&algo("TRIGGERED", r#""q":"0.01","ai":"99""#));
    let told = executions(&world);
    assert!(matches!(told[0].2, Execution::Triggered { child: 99, .. }));
    assert!(matches!(&told[1], (name, 99, Execution::Trade(_)) if name == "ae-5"));
    world.user(&format!(r#"{{"stream":"K1","data":{}}}"#, child(100, "x-unknown")));
    world.pass(SECOND);
    assert!(matches!(&executions(&world)[2], (name, 100, Execution::Trade(_)) if name == "x-unknown"));
}

#[test]
fn the_quantity_of_a_close_position_order_comes_with_its_child() {
    let mut world = World::ready(config());
    world.user(&algo("TRIGGERED", r#""q":"0","ai":"99","cp":true"#));
    assert_eq!(executions(&world), []);
    world.user(&order(99, "ae-5", r#""x":"NEW","X":"NEW""#));
    let qty = "0.01".parse().unwrap();
    let told = executions(&world);
    assert_eq!(told[0], ("ae-5".into(), 2148719, Execution::Triggered { child: 99, qty }));
    assert_eq!(told[1], ("ae-5".into(), 99, Execution::New));
}

#[test]
fn the_end_of_an_untriggered_order_has_its_reason() {
    let mut world = World::ready(config());
    world.user(&algo("CANCELED", r#""q":"0.01","ai":"""#));
    world.user(&algo("EXPIRED", r#""q":"0.01","ai":"","R":true"#));
    world.user(&algo("EXPIRED", r#""q":"0.01","ai":"","R":false"#));
    world.user(&algo("REJECTED", r#""q":"0.01","ai":"","rm":"Reduce Only reject""#));
    let told: Vec<Execution> = executions(&world).into_iter().map(|(.., execution)| execution).collect();
    let expired = Execution::Expired(ExpiryReason::ReduceOnly);
    let dated = Execution::Expired(ExpiryReason::GoodTillDate);
    assert_eq!(told, [Execution::Canceled, expired, dated, Execution::TriggerRejected { code: -2022 }]);
}

#[test]
fn the_end_of_an_order_has_the_reason_that_the_exchange_numbers() {
    let mut world = World::ready(config());
    for (id, reason) in [(1, r#""1""#), (2, r#""2""#), (3, "3"), (4, r#""4""#), (5, "5"), (6, r#""6""#), (9, r#""9""#)]
    {
        world.user(&order(id, &format!("ae-{id}"), &format!(r#""x":"EXPIRED","X":"EXPIRED","er":{reason}"#)));
    }
    let told: Vec<Execution> = executions(&world).into_iter().map(|(.., execution)| execution).collect();
    let expected = [
        ExpiryReason::SelfTradePrevention,
        ExpiryReason::IocRemainder,
        ExpiryReason::SelfTradePrevention,
        ExpiryReason::ReduceOnly,
        ExpiryReason::Liquidation,
        ExpiryReason::ReduceOnly,
        ExpiryReason::MarketRemainder,
    ];
    assert_eq!(told, expected.map(Execution::Expired));
}

fn funding(symbol: &str) -> String {
    format!(
        r#"{{"e":"ACCOUNT_UPDATE","E":1750003203005,"T":1750003203004,"a":{{"m":"FUNDING_FEE",{symbol}"B":[{{"a":"USDT","wb":"100","cw":"100","bc":"-0.25"}}],"P":[]}}}}"#
    )
}

#[test]
fn funding_has_the_same_key_from_the_stream_and_from_income() {
    let mut world = World::ready(config());
    world.user(&funding(r#""S":"BTCUSDT","#));
    let [ExchangeUpdate::Funding(payment)] = &world.updates()[..] else { panic!("{:?}", world.updates()) };
    assert_eq!((payment.symbol, payment.settled_at.millis()), (BTC, 1_750_003_200_000));
    assert_eq!((payment.amount.to_string(), payment.id), ("-0.25".into(), None));
    assert!(world.asked.is_empty());
}

#[test]
fn funding_without_a_symbol_and_transfers_are_asked_for() {
    for event in [funding(""), funding("").replace("FUNDING_FEE", "DEPOSIT")] {
        let mut world = World::ready(config());
        world.user(&event);
        assert_eq!(world.updates(), []);
        world.pass(2 * SECOND);
        assert!(world.sent[0].query.starts_with("startTime=1750003143004&limit=1000"), "{}", world.sent[0].query);
        world.answer(
            "/fapi/v1/income",
            200,
            r#"[{"symbol":"BTCUSDT","incomeType":"FUNDING_FEE","income":"-0.25","asset":"USDT","time":1750003200000,"tranId":2},
                {"symbol":"","incomeType":"TRANSFER","income":"100","asset":"USDT","time":1750003204000,"tranId":3}]"#,
        );
        let told = world.updates();
        assert!(
            matches!(&told[0], ExchangeUpdate::Funding(payment) if payment.settled_at.millis() == 1_750_003_200_000)
        );
        assert!(matches!(told[1], ExchangeUpdate::Transfer { id: 3, .. }));
        world.pass(10 * SECOND);
        assert_eq!(world.trace("/fapi/v1/income").len(), 2, "the rows may be late");
    }
}

#[test]
fn in_hedge_mode_funding_is_told_apart_by_its_number() {
    let mut config = config();
    config.hedge = true;
    let mut world = World::ready(config);
    world.user(&funding(r#""S":"BTCUSDT","#));
    assert_eq!(world.updates(), []);
    world.pass(2 * SECOND);
    let row = r#"[{"symbol":"BTCUSDT","incomeType":"FUNDING_FEE","income":"-0.25","asset":"USDT","time":1750003200000,"tranId":2}]"#;
    world.answer("/fapi/v1/income", 200, row);
    assert!(matches!(&world.updates()[0], ExchangeUpdate::Funding(payment) if payment.id == Some(2)));
}

#[test]
fn settings_and_isolated_margins_are_told() {
    let mut world = World::ready(config());
    world.user(r#"{"e":"ACCOUNT_CONFIG_UPDATE","E":1,"T":1,"ac":{"s":"BTCUSDT","l":25}}"#);
    world.user(
        r#"{"e":"ACCOUNT_UPDATE","E":1,"T":1,"a":{"m":"MARGIN_TYPE_CHANGE","B":[],"P":[{"s":"BTCUSDT","pa":"0","ep":"0","mt":"isolated","iw":"5","ps":"BOTH"}]}}"#,
    );
    let symbol = Some(BTC);
    let told = world.updates();
    assert_eq!(told[0], ExchangeUpdate::Setting { symbol, setting: Setting::Leverage { leverage: 25 } });
    assert_eq!(told[1], ExchangeUpdate::Setting { symbol, setting: Setting::MarginType { isolated: true } });
    assert!(matches!(told[2], ExchangeUpdate::IsolatedMargin { wallet, .. } if wallet.to_string() == "5"));
}

#[test]
fn what_is_not_known_is_counted_and_hurts_nothing() {
    let mut world = World::ready(config());
    world.user(r#"{"e":"BRAND_NEW","E":1}"#);
    world.user(r#"{"e":"TRADE_LITE","E":1,"s":"BTCUSDT"}"#);
    world.user(&order(7, "ae-1", r#""x":"NOVELTY","X":"NEW","zz":1"#));
    world.user(&order(7, "ae-1", r#""x":"NEW","X":"NEW""#).replace("BTCUSDT", "测试USDT"));
    world.user(&order(7, &"l".repeat(50), r#""x":"NEW","X":"NEW""#));
    world.user(r#"{"e":"ORDER_TRADE_UPDATE"}"#);
    let strangers = world.session.figures().strangers;
    assert_eq!((strangers.events, strangers.values, strangers.fields), (1, 1, 1));
    assert_eq!((strangers.symbols, strangers.long_ids, strangers.malformed), (1, 1, 1));
    assert_eq!(executions(&world)[0].0.len(), 36);
}

#[test]
fn a_field_that_stands_twice_counts_once_with_its_last_value() {
    let mut world = World::ready(config());
    world.user(&order(7, "ae-1", r#""x":"TRADE","x":"\u004eEW","X":"NEW","zz":1,"zz":2"#));
    assert_eq!(executions(&world), [("ae-1".into(), 7, Execution::New)]);
    assert_eq!(world.session.figures().strangers.fields, 1);
}

#[test]
fn a_dead_listen_key_is_replaced_and_told() {
    let mut world = World::ready(config());
    let old = world.socket("/private/");
    world.user(r#"{"e":"listenKeyExpired","E":"1736996475556","listenKey":"K1"}"#);
    assert_eq!(world.links()[0], LinkUpdate::ListenKeyExpired);
    assert!(matches!(world.links()[1], LinkUpdate::StreamDown { route: Route::Private, .. }));
    assert!(!world.sockets.contains_key(&old));
    world.answer("/fapi/v1/listenKey", 200, r#"{"listenKey":"K2"}"#);
    let new = world.socket("listenKey=K2");
    world.open(new);
    assert_eq!(world.links()[2], LinkUpdate::StreamUp { route: Route::Private });
    let puts = |world: &World| world.sent.iter().filter(|request| request.method == Method::Put).count();
    for kept in 1..4 {
        world.live(30 * MINUTE);
        assert_eq!(puts(&world), kept, "one keep-alive at a time");
        world.answer("/fapi/v1/listenKey", 200, r#"{"listenKey":"K2"}"#);
    }
}

#[test]
fn the_listen_key_is_kept_alive_and_its_death_is_noticed() {
    let mut world = World::ready(config());
    world.live(31 * MINUTE);
    let puts = |world: &World| world.sent.iter().filter(|request| request.method == Method::Put).count();
    assert_eq!(puts(&world), 1);
    world.answer("/fapi/v1/listenKey", 200, r#"{"listenKey":"K1"}"#);
    world.live(31 * MINUTE);
    assert_eq!(puts(&world), 2);
    world.answer("/fapi/v1/listenKey", 400, r#"{"code":-1125,"msg":"This listenKey does not exist."}"#);
    assert!(world.links().contains(&LinkUpdate::ListenKeyExpired));
    world.answer("/fapi/v1/listenKey", 200, r#"{"listenKey":"K2"}"#);
    assert!(world.socket("listenKey=K2").0 > 0);
    assert!(world.sent.iter().all(|request| request.method != Method::Delete), "others may use the key");
}

#[test]
fn a_lost_private_socket_gets_its_key_again_first() {
    let mut world = World::ready(config());
    world.close("/private/");
    world.pass(SECOND);
    assert!(world.sockets.values().all(|url| !url.contains("private")));
    world.answer("/fapi/v1/listenKey", 200, r#"{"listenKey":"K1"}"#);
    assert!(world.socket("listenKey=K1").0 > 0);
}

#[test]
fn a_planned_replacement_of_the_private_stream_keeps_both_for_a_while() {
    let mut config = config();
    config.connection_life = 10 * MINUTE;
    let mut world = World::ready(config);
    let old = world.socket("/private/");
    world.live(10 * MINUTE);
    let new = world.socket("/private/");
    assert!(new > old);
    world.open(new);
    let event = order(7, "ae-1", FILL);
    world.frame(new, &event);
    world.frame(old, &event);
    assert_eq!(executions(&world).len(), 1);
    assert!(world.links().contains(&LinkUpdate::StreamReplaced { route: Route::Private }));
    world.pass(SECOND);
    assert!(!world.sockets.contains_key(&old));
}

#[test]
fn a_margin_call_is_a_liquidation_only_when_the_margin_is_gone() {
    let mut world = World::ready(config());
    let call = |cw: &str| {
        format!(
            r#"{{"e":"MARGIN_CALL","E":1587727187525,"cw":"{cw}","p":[{{"s":"BTCUSDT","ps":"LONG","pa":"1.327","mt":"CROSSED","iw":"0","mp":"187.17127","up":"-1.166074","mm":"1.614445"}}]}}"#
        )
    };
    world.user(&call("3.16812045"));
    assert_eq!(world.updates(), []);
    world.user(&call("2.5"));
    assert!(matches!(world.updates()[..], [ExchangeUpdate::Liquidation { symbol: None, .. }]));
    assert_eq!(world.session.figures().strangers.margin_calls, 2);
}
