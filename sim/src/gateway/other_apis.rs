//! What clients ask of the other Binances when they start: enough to let them go on.

use super::error::ApiError;
use super::json::{JsonText, json};
use super::{Call, Gateway};

type Answer = Result<JsonText, ApiError>;

/// Spot and COIN-M list nothing.
pub(super) fn empty_exchange_info(gateway: &mut Gateway, _: &Call<'_>) -> Answer {
    Ok(json!({"timezone": "UTC", "serverTime": gateway.server_time().millis(), "rateLimits": gateway.limits.listed(),
        "exchangeFilters": [], "symbols": []}))
}

/// The coins of the wallet.
pub(super) fn coins(gateway: &mut Gateway, _: &Call<'_>) -> Answer {
    let asset = gateway.exchange.config().asset;
    let network = json!({"network": "ETH", "coin": asset.as_str(), "isDefault": true, "depositEnable": true,
        "withdrawEnable": true, "depositDesc": "", "withdrawDesc": "", "name": "Ethereum (ERC20)",
        "withdrawFee": "1", "withdrawMin": "10", "withdrawMax": "10000000", "minConfirm": 6, "unLockConfirm": 64,
        "addressRegex": "^(0x)[0-9A-Fa-f]{40}$", "memoRegex": "", "withdrawIntegerMultiple": "0.000001"});
    Ok(json!([{"coin": asset.as_str(), "name": asset.as_str(), "depositAllEnable": true, "withdrawAllEnable": true,
        "free": "0", "locked": "0", "freeze": "0", "withdrawing": "0", "ipoing": "0", "ipoable": "0", "storage": "0",
        "isLegalMoney": false, "trading": true, "networkList": [network]}]))
}

pub(super) fn status(_: &mut Gateway, _: &Call<'_>) -> Answer {
    Ok(json!({"status": 0, "msg": "normal"}))
}

/// What the key may do.
pub(super) fn restrictions(gateway: &mut Gateway, _: &Call<'_>) -> Answer {
    Ok(json!({"ipRestrict": false, "createTime": gateway.ledger.updated.millis(), "enableReading": true,
        "enableFutures": true, "enableSpotAndMarginTrading": false, "enableWithdrawals": false,
        "enableInternalTransfer": false, "enableMargin": false, "enableVanillaOptions": false,
        "permitsUniversalTransfer": false, "enablePortfolioMarginTrading": false}))
}

/// A Spot account without money.
pub(super) fn spot_account(gateway: &mut Gateway, _: &Call<'_>) -> Answer {
    Ok(json!({"makerCommission": 0, "takerCommission": 0, "buyerCommission": 0, "sellerCommission": 0,
        "canTrade": false, "canWithdraw": false, "canDeposit": false, "updateTime": gateway.market_millis(),
        "accountType": "SPOT", "balances": [], "permissions": []}))
}
