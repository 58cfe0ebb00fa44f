use crate::EngineError;

/// A picture of 8 bits per colour.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Red, green, blue of each pixel, row by row from the top: `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// The colours as numbers from -1 to 1.
    pub(crate) fn values(&self) -> Vec<f32> {
        self.rgb.iter().map(|&value| f32::from(value) / 255.0 * 2.0 - 1.0).collect()
    }

    /// # Errors
    /// [`EngineError::Setting`] unless the bytes are as many as width and height say.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        let expected = u64::from(self.width) * u64::from(self.height) * 3;
        if self.rgb.len() as u64 == expected && expected > 0 {
            return Ok(());
        }
        let found = format!("{}x{} with {} bytes", self.width, self.height, self.rgb.len());
        Err(EngineError::Setting { setting: "picture", found, expected: "three bytes for each pixel".to_owned() })
    }

    /// How alike two pictures are: the peak signal-to-noise ratio in dB, infinity if they are equal. Above 40 the eye
    /// sees no difference.
    ///
    /// # Errors
    /// [`EngineError::SizesDiffer`].
    pub fn psnr(&self, other: &Self) -> Result<f64, EngineError> {
        let size = |picture: &Self| format!("{}x{}", picture.width, picture.height);
        if (self.width, self.height, self.rgb.len()) != (other.width, other.height, other.rgb.len()) {
            return Err(EngineError::SizesDiffer(size(self), size(other)));
        }
        let squares: f64 = self.rgb.iter().zip(&other.rgb).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        if squares == 0.0 {
            return Ok(f64::INFINITY);
        }
        Ok(10.0 * (255.0 * 255.0 * self.rgb.len() as f64 / squares).log10())
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}x{})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn psnr_measures_the_mean_square() {
        let grey = |value: u8| Picture { width: 2, height: 1, rgb: vec![value; 6] };
        assert_eq!(grey(7).psnr(&grey(7)).ok(), Some(f64::INFINITY));
        let one_off = grey(100).psnr(&grey(101)).expect("equal sizes");
        assert!((one_off - 48.130_8).abs() < 1e-3, "{one_off}");
        let error = grey(0).psnr(&Picture { width: 1, height: 1, rgb: vec![0; 3] }).expect_err("other size");
        assert_eq!(error.to_string(), "pictures of different sizes cannot be compared: 2x1 and 1x1");
    }
}
