use crate::Picture;

/// Edges (Canny 1986), white on black, pixel for pixel as OpenCV's `Canny(picture, low, high)` finds them: Sobel
/// gradients of 3 x 3 pixels in the colour where they are steepest, `|dx| + |dy|` as their size, no blur before.
///
/// Where the gradient is larger than `high` there is an edge; where it is larger than `low`, there is one if it goes on
/// to such a place. ControlNets for edges were trained with 100 and 200.
pub fn canny(picture: &Picture, low: u32, high: u32) -> Picture {
    let (low, high) = (low.min(high), low.max(high));
    let (width, height) = (picture.width as usize, picture.height as usize);
    let gradients = Gradients::of(picture, width, height);
    let mut edge = vec![false; width * height];
    let mut weak = vec![false; width * height];
    let mut open = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let size = gradients.size(x as isize, y as isize);
            if size > low && gradients.is_ridge(x as isize, y as isize) {
                let at = y * width + x;
                weak[at] = true;
                if size > high {
                    edge[at] = true;
                    open.push((x, y));
                }
            }
        }
    }
    while let Some((x, y)) = open.pop() {
        for to_y in y.saturating_sub(1)..(y + 2).min(height) {
            for to_x in x.saturating_sub(1)..(x + 2).min(width) {
                let at = to_y * width + to_x;
                if weak[at] && !edge[at] {
                    edge[at] = true;
                    open.push((to_x, to_y));
                }
            }
        }
    }
    let rgb = edge.iter().flat_map(|&edge| [if edge { 255 } else { 0 }; 3]).collect();
    Picture { width: picture.width, height: picture.height, rgb }
}

/// The steepest colour's gradient of each pixel.
struct Gradients {
    width: usize,
    height: usize,
    /// To the right and downwards.
    slopes: Vec<(i32, i32)>,
}

impl Gradients {
    /// The picture goes on with its last pixels beyond its border.
    fn of(picture: &Picture, width: usize, height: usize) -> Self {
        let value = |x: usize, y: usize, colour: usize| {
            let index = (y * width + x) * 3 + colour;
            picture.rgb.get(index).copied().map_or(0, i32::from)
        };
        let mut slopes = Vec::with_capacity(width * height);
        for y in 0..height {
            let (up, down) = (y.saturating_sub(1), (y + 1).min(height - 1));
            for x in 0..width {
                let (left, right) = (x.saturating_sub(1), (x + 1).min(width - 1));
                let of = |colour: usize| {
                    let at = |x: usize, y: usize| value(x, y, colour);
                    let dx = at(right, up) + 2 * at(right, y) + at(right, down);
                    let dy = at(left, down) + 2 * at(x, down) + at(right, down);
                    (
                        dx - at(left, up) - 2 * at(left, y) - at(left, down),
                        dy - at(left, up) - 2 * at(x, up) - at(right, up),
                    )
                };
                let mut steepest = of(0);
                for slope in [of(1), of(2)] {
                    if size(slope) > size(steepest) {
                        steepest = slope;
                    }
                }
                slopes.push(steepest);
            }
        }
        Self { width, height, slopes }
    }

    /// The gradient's size; 0 outside of the picture.
    fn size(&self, x: isize, y: isize) -> u32 {
        let inside = (0..self.width as isize).contains(&x) && (0..self.height as isize).contains(&y);
        if inside { size(self.slopes[y as usize * self.width + x as usize]) } else { 0 }
    }

    /// Whether the gradient is larger than those before and behind it in its own direction, to the nearest of eight.
    fn is_ridge(&self, x: isize, y: isize) -> bool {
        /// tan(22.5 degrees) in 15 binary places; tan(67.5 degrees) is 2 more.
        const TAN: i64 = 13_573;
        let (dx, dy) = self.slopes[y as usize * self.width + x as usize];
        let size = self.size(x, y);
        let (run, rise) = (i64::from(dx.abs()), i64::from(dy.abs()) << 15);
        if rise < run * TAN {
            size > self.size(x - 1, y) && size >= self.size(x + 1, y)
        } else if rise > run * TAN + (run << 16) {
            size > self.size(x, y - 1) && size >= self.size(x, y + 1)
        } else {
            let side = if (dx ^ dy) < 0 { -1 } else { 1 };
            size > self.size(x - side, y - 1) && size > self.size(x + side, y + 1)
        }
    }
}

fn size((dx, dy): (i32, i32)) -> u32 {
    dx.unsigned_abs() + dy.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_one_line() {
        let rgb = (0..8 * 4).flat_map(|i| [if i % 8 < 4 { 0 } else { 200 }; 3]).collect();
        let edges = canny(&Picture { width: 8, height: 4, rgb }, 100, 200);
        let row: Vec<u8> = edges.rgb.chunks_exact(3).take(8).map(|pixel| pixel[0]).collect();
        assert_eq!(row, [0, 0, 0, 255, 0, 0, 0, 0]);
        assert_eq!(edges.rgb.iter().filter(|&&value| value == 255).count(), 4 * 3);
    }

    #[test]
    fn pictures_without_pixels_or_with_too_few_bytes_are_no_trouble() {
        assert!(canny(&Picture { width: 0, height: 5, rgb: Vec::new() }, 1, 2).rgb.is_empty());
        assert_eq!(canny(&Picture { width: 2, height: 2, rgb: vec![9] }, 1, 2).rgb.len(), 12);
    }
}
