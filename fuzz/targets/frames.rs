//! WebSocket frames of any content into a session that is up; time passes, sockets close and open, answers come between them.
#![no_main]

use alphaengine_fuzz::desk::Desk;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(mut desk) = Desk::ready() else { return };
    desk.play(data);
});
