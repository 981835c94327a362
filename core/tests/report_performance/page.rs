//! How the report looks.

use alphaengine_core::market::SymbolId;
use alphaengine_core::order::PositionSide;
use alphaengine_core::units::{Money, Price};

use crate::run::Run;

/// A few trades over 40 days, the last one open.
fn page() -> String {
    let mut run = Run::new(&["BTCUSDT", "ETHUSDT"], "2025-05-01T00:00:00Z", 10_000);
    for day in 0..40 {
        let price = 95_000 + day * 137 + (day * day * 7_919) % 4_001;
        run.price(SymbolId(1), Price::whole(1_800 + day));
        run.fill(if day % 3 == 1 { "-0.2" } else { "0.1" }, price, 3);
        run.wait(50_000);
        run.price(SymbolId(0), Price::whole(price + 300 - (day * 613) % 500));
        if day % 4 == 0 {
            run.fund(SymbolId(0), PositionSide::Both, Money::from_steps(-123_456_789));
        }
        run.wait(36_400);
    }
    run.finish().table()
}

#[test]
fn a_page_is_narrow_and_short() {
    let page = page();
    println!("{page}");
    assert!(page.lines().all(|line| line.chars().count() <= 100 && line == line.trim_end()));
    assert!(page.lines().count() <= 45);
    assert!(page.contains("daily returns, 365 days"));
}
