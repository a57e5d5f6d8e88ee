//! Settings that can't work are refused by name.

use std::time::Duration;

use bytes::Bytes;
use cenote::mux::MuxBuilder;

use crate::peer::{ms, try_raw};

type Change = fn(MuxBuilder<Bytes>) -> MuxBuilder<Bytes>;

#[tokio::test(start_paused = true)]
async fn a_setting_that_cannot_work_is_refused_by_name() {
    let changes: [(&str, Change); 12] = [
        ("max_in_flight", |settings| settings.max_in_flight(0)),
        ("max_in_flight", |settings| {
            settings.max_in_flight((1 << 20) + 1)
        }),
        ("max_abandoned", |settings| settings.max_abandoned(0)),
        ("encoders", |settings| settings.encoders(0)),
        ("encoders", |settings| settings.encoders(129)),
        ("max_buffered", |settings| settings.max_buffered(0)),
        ("max_frame", |settings| settings.max_frame(0)),
        ("max_timeouts", |settings| settings.max_timeouts(0)),
        ("call_timeout", |settings| {
            settings.call_timeout(Duration::ZERO)
        }),
        ("max_silence", |settings| settings.max_silence(ms(7))),
        ("ping", |settings| settings.ping(ms(7), Bytes::new)),
        ("ping_timeout", |settings| settings.ping_timeout(ms(7))),
    ];
    for (name, change) in changes {
        let refused = try_raw(change).map(drop).unwrap_err().to_string();
        assert!(refused.contains(name), "{name}: {refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_widest_settings_work() {
    let wide: Change = |settings| {
        let settings = settings
            .max_in_flight(1 << 20)
            .encoders(128)
            .max_queued(usize::MAX)
            .max_abandoned(usize::MAX);
        let settings = settings
            .max_buffered(usize::MAX)
            .max_frame(usize::MAX)
            .max_timeouts(u32::MAX);
        settings
            .ping_timeout(Duration::MAX)
            .ping(Duration::MAX, Bytes::new)
    };
    assert!(try_raw(wide).is_ok());
}
