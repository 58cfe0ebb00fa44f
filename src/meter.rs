//! How fast work goes and how long it will still take.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// The speed is that of the last so many seconds: a stick that becomes slow shows soon, a hiccup does not.
const WINDOW: Duration = Duration::from_secs(20);
/// One sample per so many.
const SAMPLE: Duration = Duration::from_millis(500);
/// Before that, nothing is known about the speed.
const LEARNING: Duration = Duration::from_secs(1);

/// Measures one piece of work. Times count from its beginning.
#[derive(Debug)]
pub(crate) struct Meter {
    total: Option<u64>,
    done: u64,
    samples: VecDeque<(Duration, u64)>,
}

/// Where a piece of work is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reading {
    /// Bytes done. Never less than before.
    pub(crate) bytes: u64,
    /// Bytes there are, when known.
    pub(crate) of: Option<u64>,
    /// Throughput, when known.
    pub(crate) bytes_per_second: Option<u64>,
    /// Time left, when it can be told.
    pub(crate) seconds_left: Option<u64>,
}

impl Meter {
    /// For `total` bytes, when known.
    pub(crate) fn new(total: Option<u64>) -> Self {
        Self { total, done: 0, samples: VecDeque::from([(Duration::ZERO, 0)]) }
    }

    /// `bytes` are done in all, `at` this time. Work that is done again does not count backwards.
    pub(crate) fn tell(&mut self, bytes: u64, at: Duration) {
        // What was there already when the work began took no time.
        if self.done == 0 && at < SAMPLE {
            self.samples = VecDeque::from([(at, bytes)]);
        }
        self.done = self.done.max(bytes);
        if self.samples.back().is_none_or(|(last, _)| at.saturating_sub(*last) >= SAMPLE) {
            self.samples.push_back((at, self.done));
        }
        while self.samples.get(1).is_some_and(|(next, _)| at.saturating_sub(*next) > WINDOW) {
            self.samples.pop_front();
        }
    }

    /// Where it is, `at` this time.
    pub(crate) fn read(&self, at: Duration) -> Reading {
        let (since, before) = self.samples.front().copied().unwrap_or_default();
        let time = at.saturating_sub(since);
        let known = time >= LEARNING;
        let speed = self.done.saturating_sub(before) as f64 / time.as_secs_f64().max(0.001);
        let left = self.total.map(|total| total.saturating_sub(self.done)).filter(|left| *left > 0);
        Reading {
            bytes: self.done,
            of: self.total,
            bytes_per_second: known.then_some(speed as u64),
            // Upwards: as long as something is to be done, there is a second left.
            seconds_left: left.filter(|_| known && speed >= 1.0).map(|left| (left as f64 / speed).ceil() as u64),
        }
    }
}

/// A time left for people, as exact as an estimate deserves.
pub(crate) struct Left(pub(crate) u64);

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..10 => write!(f, "a few seconds left"),
            seconds @ 10..90 => write!(f, "{} s left", seconds.div_ceil(10) * 10),
            seconds @ 90..5400 => write!(f, "{} min left", seconds.div_ceil(60)),
            seconds => write!(f, "{:.1} h left", seconds as f64 / 3600.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn speed_and_time_left_are_those_of_the_last_seconds() {
        let mut meter = Meter::new(Some(1000));
        assert_eq!(meter.read(at(0)).seconds_left, None, "nothing is known at the beginning");
        for second in 1..=10 {
            meter.tell(second * 10, at(second));
        }
        let reading = meter.read(at(10));
        assert_eq!(reading, Reading { bytes: 100, of: Some(1000), bytes_per_second: Some(10), seconds_left: Some(90) });
        // The medium becomes ten times slower: after the window the time left says so.
        for second in 11..=40 {
            meter.tell(100 + (second - 10), at(second));
        }
        let reading = meter.read(at(40));
        assert_eq!((reading.bytes_per_second, reading.bytes), (Some(1), 130));
        assert!((800..=900).contains(&reading.seconds_left.unwrap()), "{reading:?}");
    }

    #[test]
    fn a_standstill_shows_and_promises_nothing() {
        let mut meter = Meter::new(Some(1000));
        meter.tell(500, at(5));
        meter.tell(500, at(60));
        assert_eq!(meter.read(at(60)).bytes_per_second, Some(0));
        assert_eq!(meter.read(at(60)).seconds_left, None);
    }

    #[test]
    fn nothing_counts_backwards_and_no_time_is_left_only_at_the_end() {
        let mut meter = Meter::new(Some(1000));
        meter.tell(900, at(9));
        meter.tell(100, at(10));
        assert_eq!(meter.read(at(10)).bytes, 900);
        meter.tell(999, at(11));
        assert_eq!(meter.read(at(11)).seconds_left, Some(1));
        meter.tell(1000, at(12));
        assert_eq!(meter.read(at(12)).seconds_left, None);
    }

    #[test]
    fn what_was_there_before_is_not_speed() {
        let mut meter = Meter::new(Some(10_000));
        meter.tell(9000, Duration::from_millis(10));
        meter.tell(9100, at(10));
        assert_eq!(meter.read(at(10)).bytes_per_second, Some(10));
    }

    #[test]
    fn estimates_are_not_more_exact_than_they_are() {
        for (seconds, text) in [(1, "a few seconds left"), (31, "40 s left"), (100, "2 min left"), (9000, "2.5 h left")]
        {
            assert_eq!(Left(seconds).to_string(), text);
        }
    }
}
