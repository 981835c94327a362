//! Money and settings in user events: ACCOUNT_UPDATE, ACCOUNT_CONFIG_UPDATE and MARGIN_CALL.

use alphaengine_core::exchange::{ExchangeUpdate, FundingPayment, Setting};
use alphaengine_core::order::PositionSide;
use alphaengine_core::units::{Money, NANOS_PER_MINUTE, NANOS_PER_SECOND, Nanos, Price, Qty, Timestamp};

use super::alarm::Alarm;
use super::json::{Fields, Malformed};
use super::line::Line;
use super::user::{Around, User, settlement};

/// When to ask for the rows of money that the stream told without a number: the rows may be late.
const ASK_INCOME_AFTER: [Nanos; 2] = [3 * NANOS_PER_SECOND / 2, 10 * NANOS_PER_SECOND];

impl User {
    /// ACCOUNT_UPDATE: what fills do not tell.
    pub(super) fn account(
        &mut self,
        around: &mut Around<'_>,
        at: Timestamp,
        event: Fields<'_>,
    ) -> Result<(), Malformed> {
        let a = event.object("a")?;
        let when = event.time("T").or_else(|_| event.time("E"))?;
        let reason = a.text("m");
        for position in a.list("P") {
            let position = Fields::of(position)?;
            let Some(symbol) = around.instruments.id(position.text("s")) else {
                around.strangers.symbols += 1;
                continue;
            };
            let position_side = position.position_side("ps")?;
            self.hedge |= position_side != PositionSide::Both;
            if let Ok(qty) = position.qty("pa") {
                self.positions.insert((symbol, position_side), qty);
            }
            let isolated = position.text("mt").eq_ignore_ascii_case("isolated");
            if reason == "MARGIN_TYPE_CHANGE" {
                let setting = Setting::MarginType { isolated };
                around.line.exchange(ExchangeUpdate::Setting { symbol: Some(symbol), setting });
            }
            if isolated && position.value("iw").is_some() {
                let wallet = position.money("iw")?;
                around.line.exchange(ExchangeUpdate::IsolatedMargin { symbol, position_side, wallet });
            }
        }
        match reason {
            "FUNDING_FEE" => self.funding(around, at, a, when)?,
            // Fills, or movements inside the account, tell themselves.
            "ORDER" | "MARGIN_TRANSFER" | "MARGIN_TYPE_CHANGE" | "WITHDRAW_REJECT" => {}
            "DEPOSIT"
            | "WITHDRAW"
            | "ADJUSTMENT"
            | "INSURANCE_CLEAR"
            | "ADMIN_DEPOSIT"
            | "ADMIN_WITHDRAW"
            | "ASSET_TRANSFER"
            | "OPTIONS_PREMIUM_FEE"
            | "OPTIONS_SETTLE_PROFIT"
            | "AUTO_EXCHANGE"
            | "COIN_SWAP_DEPOSIT"
            | "COIN_SWAP_WITHDRAW" => self.want_income(around.line, at, when),
            _ => {
                around.strangers.values += 1;
                self.want_income(around.line, at, when);
            }
        }
        Ok(())
    }

    fn funding(
        &mut self,
        around: &mut Around<'_>,
        at: Timestamp,
        a: Fields<'_>,
        when: Timestamp,
    ) -> Result<(), Malformed> {
        let symbol = around.instruments.id(a.text("S"));
        if !a.text("S").is_empty() && symbol.is_none() {
            around.strangers.symbols += 1;
            return Ok(());
        }
        // Without a symbol, or with two positions in one, only the rows of income tell the payments apart.
        let (Some(symbol), false) = (symbol, self.hedge) else {
            self.want_income(around.line, at, when);
            return Ok(());
        };
        let margin_asset = &around.instruments.get(symbol).margin_asset;
        for balance in a.list("B") {
            let balance = Fields::of(balance)?;
            if balance.text("a") != margin_asset.as_str() {
                continue;
            }
            let amount = balance.money("bc")?;
            if amount.is_zero() {
                continue;
            }
            let position = self.positions.get(&(symbol, PositionSide::Both)).copied().unwrap_or(Qty::ZERO);
            around.line.exchange(ExchangeUpdate::Funding(FundingPayment {
                symbol,
                position_side: PositionSide::Both,
                settled_at: settlement(when),
                rate: None,
                mark: (around.mark)(symbol),
                position,
                amount,
                id: None,
            }));
        }
        Ok(())
    }

    /// The stream told of money without a number that makes it one fact: the rows of income have one.
    fn want_income(&mut self, line: &mut Line, at: Timestamp, when: Timestamp) {
        let since = when.plus(-NANOS_PER_MINUTE);
        self.income_since = Some(self.income_since.map_or(since, |earlier| earlier.min(since)));
        for pause in ASK_INCOME_AFTER {
            line.alarm(at.plus(pause), Alarm::Income);
        }
    }

    pub(super) fn config(&mut self, around: &mut Around<'_>, event: Fields<'_>) -> Result<(), Malformed> {
        let Ok(ac) = event.object("ac") else {
            // The multi-assets mode: nothing that an order depends on can be told of it here.
            around.strangers.values += 1;
            return Ok(());
        };
        let Some(symbol) = around.instruments.id(ac.text("s")) else {
            around.strangers.symbols += 1;
            return Ok(());
        };
        let leverage = u32::try_from(ac.whole("l")?).map_err(|_| Malformed::Field("l"))?;
        let setting = Setting::Leverage { leverage };
        around.line.exchange(ExchangeUpdate::Setting { symbol: Some(symbol), setting });
        Ok(())
    }

    /// MARGIN_CALL: a hint. It is passed on as a liquidation only when the margin is below what must be held.
    pub(super) fn margin_call(&mut self, around: &mut Around<'_>, event: Fields<'_>) -> Result<(), Malformed> {
        around.strangers.margin_calls += 1;
        let mut cross = (Money::ZERO, Money::ZERO, Price::ZERO);
        let mut any_cross = false;
        for position in event.list("p") {
            let position = Fields::of(position)?;
            let (up, needed) = (position.money("up")?, position.money("mm")?);
            let mark = position.rough_price("mp");
            if position.text("mt").eq_ignore_ascii_case("isolated") {
                let symbol = around.instruments.id(position.text("s"));
                let margin_balance = position.money("iw")?.saturating_add(up);
                if symbol.is_some() && margin_balance <= needed {
                    let maintenance = needed;
                    around.line.exchange(ExchangeUpdate::Liquidation { symbol, mark, margin_balance, maintenance });
                }
            } else {
                any_cross = true;
                cross = (cross.0.saturating_add(up), cross.1.saturating_add(needed), mark);
            }
        }
        if any_cross {
            let margin_balance = event.money("cw")?.saturating_add(cross.0);
            if margin_balance <= cross.1 {
                let update =
                    ExchangeUpdate::Liquidation { symbol: None, mark: cross.2, margin_balance, maintenance: cross.1 };
                around.line.exchange(update);
            }
        }
        Ok(())
    }
}
