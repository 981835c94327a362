//! Progress shows a bar for the whole and one for each running download, on stderr and only where that is a terminal.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

#[derive(Clone)]
pub(super) struct Progress {
    bars: MultiProgress,
    whole: ProgressBar,
}

impl Progress {
    pub fn new(files: usize, show: bool) -> Progress {
        // The stderr target hides itself where stderr is not a terminal.
        let target = if show { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let whole = bars.add(ProgressBar::new(files as u64));
        whole.set_style(style("{bar:30} {pos}/{len} files, {elapsed}"));
        whole.enable_steady_tick(Duration::from_millis(250));
        Progress { bars, whole }
    }

    /// A bar for one download, above the one for the whole.
    pub fn download(&self, name: &str) -> ProgressBar {
        let bar = self.bars.insert_before(&self.whole, ProgressBar::new(0));
        bar.set_style(style("{bar:30} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {msg}"));
        bar.set_message(name.to_owned());
        bar
    }

    pub fn file_done(&self) {
        self.whole.inc(1);
    }

    pub fn finish(&self) {
        self.whole.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
