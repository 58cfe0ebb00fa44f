/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Columns to the left of it.
    pub x: u32,
    /// Rows above it.
    pub y: u32,
    /// Columns in it.
    pub width: u32,
    /// Rows in it.
    pub height: u32,
}

impl Region {
    /// Where it ends: the column behind its last.
    pub fn right(&self) -> u32 {
        self.x + self.width
    }

    /// Where it ends: the row below its last.
    pub fn bottom(&self) -> u32 {
        self.y + self.height
    }

    /// The region with `padding` more pixels at each edge, as far as a picture of `width` x `height` goes.
    pub fn padded(&self, padding: u32, width: u32, height: u32) -> Self {
        let (x, y) = (self.x.saturating_sub(padding), self.y.saturating_sub(padding));
        let right = self.right().saturating_add(padding).min(width);
        let bottom = self.bottom().saturating_add(padding).min(height);
        Self { x, y, width: right - x, height: bottom - y }
    }

    /// The region grown to the proportions of `target` (width, height) around its middle, moved inwards where it
    /// would leave a picture of `width` x `height`, and cut where that is too small: what AUTOMATIC1111 draws for
    /// "only masked".
    pub fn shaped_like(&self, target: (u32, u32), width: u32, height: u32) -> Self {
        let ratio = f64::from(target.0) / f64::from(target.1);
        if f64::from(self.width) / f64::from(self.height) > ratio {
            let missing = (f64::from(self.width) / ratio - f64::from(self.height)) as u32;
            let (y, height) = grown(self.y, self.height, missing, height);
            Self { y, height, ..*self }
        } else {
            let missing = (f64::from(self.height) * ratio - f64::from(self.width)) as u32;
            let (x, width) = grown(self.x, self.width, missing, width);
            Self { x, width, ..*self }
        }
    }
}

/// Start and length of a stretch that gains `missing` pixels within `0..end`.
fn grown(start: u32, length: u32, missing: u32, end: u32) -> (u32, u32) {
    let length = length.saturating_add(missing).min(end);
    (start.saturating_sub(missing / 2).min(end - length), length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(x: u32, y: u32, width: u32, height: u32) -> Region {
        Region { x, y, width, height }
    }

    #[test]
    fn regions_grow_to_the_shape_that_is_drawn() {
        let wide = region(100, 40, 128, 32);
        assert_eq!(wide.shaped_like((512, 512), 512, 512), region(100, 0, 128, 128), "moved down from the upper edge");
        assert_eq!(region(100, 200, 128, 32).shaped_like((512, 512), 512, 512), region(100, 152, 128, 128));
        assert_eq!(region(500, 200, 12, 100).shaped_like((512, 512), 512, 512), region(412, 200, 100, 100));
        assert_eq!(region(0, 0, 600, 100).shaped_like((512, 512), 600, 300), region(0, 0, 600, 300), "cut");
        assert_eq!(region(5, 5, 1, 1).padded(32, 64, 20), region(0, 0, 38, 20));
    }
}
