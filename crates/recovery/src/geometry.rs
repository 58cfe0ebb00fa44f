/// Shards of a row, and recovery shards of a group.
pub(crate) const ROW: usize = 64;
/// Shards in bytes are planned to have at least this: of each, two digests of 8 bytes are kept.
const SMALLEST_SHARD: u64 = 1 << 10;
/// Largest shard in bytes.
const LARGEST_SHARD: u64 = 64 << 10;
/// Shards are a multiple of this many bytes.
const SHARD_STEP: u64 = 64;
/// Most groups of a section: what bounds the memory, 4 MiB each.
const MOST_GROUPS: u64 = 10;
/// Most rows of a group: with its recovery shards a group may have 65536 shards.
const MOST_ROWS: u64 = 1000;

/// How a section is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes of a shard.
    pub(crate) shard: u32,
    /// Rows that a group can have.
    pub(crate) rows: u32,
    /// Groups that the rows are dealt out to.
    pub(crate) groups: u32,
}

impl Geometry {
    /// For about `bytes` bytes that shall get `percent` per cent of recovery data, at most 100. Nothing when none is
    /// wanted. What is longer than [`Geometry::capacity`] needs another section.
    #[must_use]
    pub fn plan(bytes: u64, percent: f64) -> Option<Self> {
        if percent.is_nan() || percent <= 0.0 {
            return None;
        }
        let part = (percent / 100.0).clamp(1.0 / MOST_ROWS as f64, 1.0);
        let bytes = bytes.max(1);
        let rows = (1.0 / part) as u64;
        // A little more room, so that an estimate that is a little too low does not cost a section of its own.
        let recovery = (bytes + bytes / 256).div_ceil(rows * ROW as u64);
        // As few groups as shards of the largest size allow; then shards as small as these groups allow.
        let sections = recovery.div_ceil(LARGEST_SHARD * MOST_GROUPS);
        let groups = recovery.div_ceil(LARGEST_SHARD * sections);
        let shard = recovery.div_ceil(sections * groups).next_multiple_of(SHARD_STEP);
        let shard = shard.clamp(SMALLEST_SHARD, LARGEST_SHARD);
        Some(Self { shard: shard as u32, rows: rows as u32, groups: groups as u32 })
    }

    /// Reads what a record states; nothing when it makes no sense.
    pub(crate) fn checked(shard: u32, rows: u32, groups: u32) -> Option<Self> {
        let fits = (SHARD_STEP..=LARGEST_SHARD).contains(&u64::from(shard))
            && u64::from(shard).is_multiple_of(SHARD_STEP)
            && (1..=MOST_ROWS).contains(&u64::from(rows))
            && (1..=MOST_GROUPS).contains(&u64::from(groups));
        fits.then_some(Self { shard, rows, groups })
    }

    /// Bytes of a section that is full.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.row_bytes() * u64::from(self.rows) * u64::from(self.groups)
    }

    /// Bytes of the frame that the recovery data of `length` bytes take.
    #[must_use]
    pub fn frame_length(&self, length: u64) -> u64 {
        let shards = length.div_ceil(u64::from(self.shard));
        let recovery = u64::from(self.groups_of(length)) * ROW as u64;
        8 + 2 * (crate::record::HEAD as u64 + 8 * (shards + recovery)) + recovery * u64::from(self.shard)
    }

    /// Bytes of a row.
    pub(crate) fn row_bytes(&self) -> u64 {
        u64::from(self.shard) * ROW as u64
    }

    /// Rows that `length` bytes fill, the last one perhaps not whole.
    pub(crate) fn rows_of(&self, length: u64) -> u32 {
        length.div_ceil(self.row_bytes()) as u32
    }

    /// Groups that `length` bytes reach.
    pub(crate) fn groups_of(&self, length: u64) -> u32 {
        self.rows_of(length).min(self.groups)
    }

    /// Rows of one group.
    pub(crate) fn rows_of_group(&self, length: u64, group: u32) -> u32 {
        (self.rows_of(length) + self.groups - 1 - group) / self.groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_data_take_the_part_that_was_asked_for() {
        for percent in [0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 50.0, 100.0] {
            for bytes in [3_000_000u64, 20 << 20, 300 << 20, 1 << 30, 2 << 30, (4 << 30) - (64 << 10), 50 << 30] {
                let geometry = Geometry::plan(bytes, percent).unwrap();
                let (mut left, mut frames) = (bytes, 0);
                while left > 0 {
                    let section = left.min(geometry.capacity());
                    frames += geometry.frame_length(section);
                    left -= section;
                }
                let part = frames as f64 / bytes as f64 * 100.0;
                let least = geometry.row_bytes() as f64 / bytes as f64 * 100.0;
                let most = percent.max(least) * 1.04 + 1700.0 / f64::from(geometry.shard);
                assert!(part <= most && part >= percent * 0.9, "{bytes} bytes at {percent} %: {part} %, {geometry:?}");
            }
        }
        assert_eq!(Geometry::plan(1 << 30, 0.0), None);
        assert_eq!(Geometry::plan(1 << 30, f64::NAN), None);
    }

    #[test]
    fn memory_is_bounded() {
        for bytes in [0, 1, 1 << 20, 1 << 40, u64::MAX >> 8] {
            let geometry = Geometry::plan(bytes, 100.0).unwrap();
            assert!(geometry.row_bytes() * u64::from(geometry.groups) <= 40 << 20);
            assert_eq!(Geometry::checked(geometry.shard, geometry.rows, geometry.groups), Some(geometry));
        }
    }

    #[test]
    fn every_row_has_a_group() {
        let geometry = Geometry { shard: 64, rows: 7, groups: 3 };
        for length in [1, 4096, 4097, 10 * 4096, 21 * 4096] {
            let rows: u32 = (0..3).map(|group| geometry.rows_of_group(length, group)).sum();
            assert_eq!(rows, geometry.rows_of(length));
        }
    }
}
