//! Rows of REST answers: open orders, trades and income in the words of the engine.

use alphaengine_core::exchange::{ExchangeUpdate, Execution, Fill, FundingPayment, OrderUpdate, TransferReason};
use alphaengine_core::id::ClientOrderId;
use alphaengine_core::instrument::Instruments;
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{OrderSpec, OrderType, PositionSide, SelfTradePrevention, TimeInForce, WorkingType};
use alphaengine_core::snapshot::OrderSnapshot;
use alphaengine_core::units::{Money, Price, Qty};

use super::figures::Strangers;
use super::json::{Fields, Malformed, short};
use super::owners::Owners;
use super::user::settlement;

/// An open order of the matching engine, from `openOrders`.
pub(crate) fn regular(row: Fields<'_>, symbol: SymbolId, owners: &Owners) -> Result<OrderSnapshot, Malformed> {
    let order_id = row.whole("orderId")?;
    let order_type = match row.text("type") {
        "MARKET" => OrderType::Market,
        // A fired stop-limit rests as a limit order whatever its type is called.
        _ => OrderType::Limit { price: row.price("price")?, tif: time_in_force(row) },
    };
    Ok(OrderSnapshot {
        client_order_id: owners.parent(symbol, order_id).unwrap_or_else(|| row.client_order_id("clientOrderId")),
        order_id,
        spec: spec(row, symbol, row.qty("origQty")?, order_type)?,
        filled: row.qty("executedQty")?,
        created_at: row.time("time").or_else(|_| row.time("updateTime"))?,
    })
}

/// An untriggered order of the algo service, from `openAlgoOrders`.
pub(crate) fn conditional(row: Fields<'_>, symbol: SymbolId) -> Result<OrderSnapshot, Malformed> {
    let trigger = || row.price("triggerPrice");
    let price = || row.price("price");
    let tif = time_in_force(row);
    let order_type = match row.text("orderType") {
        "STOP" => OrderType::Stop { trigger: trigger()?, price: price()?, tif },
        "STOP_MARKET" => OrderType::StopMarket { trigger: trigger()? },
        "TAKE_PROFIT" => OrderType::TakeProfit { trigger: trigger()?, price: price()?, tif },
        "TAKE_PROFIT_MARKET" => OrderType::TakeProfitMarket { trigger: trigger()? },
        "TRAILING_STOP_MARKET" => OrderType::TrailingStopMarket {
            activation: row.price("activatePrice").ok().filter(|price| *price > Price::ZERO),
            callback: row.percent("callbackRate")?,
        },
        _ => return Err(Malformed::Field("orderType")),
    };
    let qty = if row.flag("closePosition") { Qty::ZERO } else { row.qty("quantity")? };
    Ok(OrderSnapshot {
        client_order_id: row.client_order_id("clientAlgoId"),
        order_id: row.whole("algoId")?,
        spec: spec(row, symbol, qty, order_type)?,
        filled: Qty::ZERO,
        created_at: row.time("createTime").or_else(|_| row.time("updateTime"))?,
    })
}

fn spec(row: Fields<'_>, symbol: SymbolId, qty: Qty, order_type: OrderType) -> Result<OrderSpec, Malformed> {
    Ok(OrderSpec {
        symbol,
        side: row.side("side")?,
        position_side: row.position_side("positionSide")?,
        qty,
        order_type,
        reduce_only: row.flag("reduceOnly"),
        close_position: row.flag("closePosition"),
        working_type: if row.text("workingType") == "MARK_PRICE" { WorkingType::Mark } else { WorkingType::Contract },
        price_protect: row.flag("priceProtect"),
        stp: match row.text("selfTradePreventionMode") {
            "EXPIRE_TAKER" => SelfTradePrevention::ExpireTaker,
            "EXPIRE_BOTH" => SelfTradePrevention::ExpireBoth,
            "NONE" => SelfTradePrevention::None,
            _ => SelfTradePrevention::ExpireMaker,
        },
    })
}

fn time_in_force(row: Fields<'_>) -> TimeInForce {
    match row.text("timeInForce") {
        "IOC" => TimeInForce::Ioc,
        "FOK" => TimeInForce::Fok,
        "GTX" => TimeInForce::Gtx,
        "GTD" => row.time("goodTillDate").map_or(TimeInForce::Gtc, |until| TimeInForce::Gtd { until }),
        // GTE_GTC and whatever comes: it rests until someone ends it.
        _ => TimeInForce::Gtc,
    }
}

/// A row of `userTrades`. The name of its order is put in later.
pub(crate) fn trade(row: Fields<'_>, symbol: SymbolId, instruments: &Instruments) -> Result<OrderUpdate, Malformed> {
    let fee_asset = match row.text("commissionAsset") {
        "" => instruments.get(symbol).margin_asset.as_str(),
        asset => asset,
    };
    let optional = |name: &'static str| if row.value(name).is_some() { row.money(name) } else { Ok(Money::ZERO) };
    Ok(OrderUpdate {
        at: row.time("time")?,
        client_order_id: ClientOrderId::default(),
        order_id: row.whole("orderId")?,
        symbol,
        side: row.side("side")?,
        position_side: row.position_side("positionSide")?,
        execution: Execution::Trade(Fill {
            trade_id: row.whole("id")?,
            price: row.price("price")?,
            qty: row.qty("qty")?,
            fee: optional("commission")?,
            fee_asset: short(fee_asset),
            is_maker: row.flag("maker"),
            is_liquidation: false,
            realized: optional("realizedPnl")?,
        }),
    })
}

/// The documents disagree about the sign of `commission` (section 3.3). A taker never earns: where one seems to, the sign means
/// "paid is negative" and all are turned.
pub(crate) fn make_fees_positive(updates: &mut [OrderUpdate]) {
    let earns = |update: &OrderUpdate| matches!(update.execution, Execution::Trade(fill) if !fill.is_maker && fill.fee.is_negative());
    if updates.iter().any(earns) {
        for update in updates {
            if let Execution::Trade(fill) = &mut update.execution {
                fill.fee = Money::ZERO.saturating_sub(fill.fee);
            }
        }
    }
}

/// A row of `income`; `None` for what fills tell.
pub(crate) fn income(
    row: Fields<'_>,
    hedge: bool,
    instruments: &Instruments,
    strangers: &mut Strangers,
) -> Result<Option<ExchangeUpdate>, Malformed> {
    let amount = row.money("income")?;
    let id = row.whole("tranId")?;
    let reason = match row.text("incomeType") {
        "COMMISSION" | "REALIZED_PNL" => return Ok(None),
        "FUNDING_FEE" => {
            let Some(symbol) = instruments.id(row.text("symbol")) else {
                strangers.symbols += 1;
                return Ok(None);
            };
            return Ok(Some(ExchangeUpdate::Funding(FundingPayment {
                symbol,
                position_side: PositionSide::Both,
                settled_at: settlement(row.time("time")?),
                rate: None,
                mark: None,
                position: Qty::ZERO,
                amount,
                id: hedge.then_some(id),
            })));
        }
        "TRANSFER" | "INTERNAL_TRANSFER" | "CROSS_COLLATERAL_TRANSFER" | "STRATEGY_UMFUTURES_TRANSFER" => {
            TransferReason::Internal
        }
        "INSURANCE_CLEAR" => TransferReason::InsuranceClear,
        "WELCOME_BONUS" | "REFERRAL_KICKBACK" | "COMMISSION_REBATE" | "API_REBATE" | "CONTEST_REWARD"
        | "FEE_RETURN" | "BFUSD_REWARD" => TransferReason::Rebate,
        "AUTO_EXCHANGE" | "COIN_SWAP_DEPOSIT" | "COIN_SWAP_WITHDRAW" => TransferReason::Exchange,
        "SPECIAL_FUNDING_FEE"
        | "OPTIONS_PREMIUM_FEE"
        | "OPTIONS_SETTLE_PROFIT"
        | "DELIVERED_SETTELMENT"
        | "POSITION_LIMIT_INCREASE_FEE" => TransferReason::Adjustment,
        _ => {
            strangers.values += 1;
            TransferReason::Adjustment
        }
    };
    let asset = short(row.text("asset"));
    Ok(Some(ExchangeUpdate::Transfer { at: row.time("time")?, id, asset, amount, reason }))
}
