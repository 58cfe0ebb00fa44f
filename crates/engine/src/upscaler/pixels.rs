//! Pixels into channels and back, as torch's `pixel_unshuffle` and `pixel_shuffle` order them, over channels-last
//! pictures.

use candle_core::{Result, Tensor};

/// Squares of `side` x `side` pixels become one pixel each.
///
/// # Shapes
/// - x: `[batch, height * side, width * side, channels]`; result: `[batch, height, width, channels * side * side]`
pub(super) fn unshuffled(x: &Tensor, side: usize) -> Result<Tensor> {
    if side == 1 {
        return Ok(x.clone());
    }
    let (batch, height, width, channels) = x.dims4()?;
    let (height, width) = (height / side, width / side);
    // batch, y, inner y, x, inner x, channel -> batch, y, x, channel, inner y, inner x
    let split = x.reshape(vec![batch, height, side, width, side, channels])?.permute(vec![0, 1, 3, 5, 2, 4])?;
    split.reshape((batch, height, width, channels * side * side))
}

/// Each pixel becomes a square of `side` x `side`.
///
/// # Shapes
/// - x: `[batch, height, width, channels * side * side]`; result: `[batch, height * side, width * side, channels]`
pub(super) fn shuffled(x: &Tensor, side: usize) -> Result<Tensor> {
    let (batch, height, width, channels) = x.dims4()?;
    let channels = channels / (side * side);
    let split = x.reshape(vec![batch, height, width, channels, side, side])?.permute(vec![0, 1, 4, 2, 5, 3])?;
    split.reshape((batch, height * side, width * side, channels))
}

/// Each pixel `side` x `side` times.
///
/// # Shapes
/// - x: `[batch, height, width, channels]`; result: `[batch, height * side, width * side, channels]`
pub(super) fn repeated(x: &Tensor, side: usize) -> Result<Tensor> {
    let (batch, height, width, channels) = x.dims4()?;
    let shape = vec![batch, height, side, width, side, channels];
    let wide = x.reshape(vec![batch, height, 1, width, 1, channels])?.broadcast_as(shape)?;
    wide.reshape((batch, height * side, width * side, channels))
}

/// The picture continued to the right and below, so that its sides are multiples of `side`: mirrored without repeating
/// the last pixel (torch's `reflect`), or with the last pixel again where there are too few.
///
/// # Shapes
/// - x: `[batch, height, width, channels]`
pub(super) fn padded(x: &Tensor, side: usize) -> Result<Tensor> {
    let mut x = x.clone();
    for axis in [1, 2] {
        let size = x.dims()[axis];
        for i in 0..size.next_multiple_of(side) - size {
            let mirrored = if i + 2 <= size { size - 2 - i } else { size - 1 };
            x = Tensor::cat(&[&x, &x.narrow(axis, mirrored, 1)?], axis)?;
        }
    }
    Ok(x)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn values(x: &Tensor) -> Vec<f32> {
        x.flatten_all().and_then(|x| x.to_vec1()).expect("values")
    }

    #[test]
    fn the_order_is_that_of_torch() {
        // torch.nn.functional.pixel_unshuffle(torch.arange(8.).reshape(1, 2, 2, 2), 2)[0, :, 0, 0]: 0 1 2 3 4 5 6 7
        let x = Tensor::arange(0_f32, 8.0, &Device::Cpu).and_then(|x| x.reshape((1, 2, 2, 2)));
        let last = x.and_then(|x| x.permute((0, 2, 3, 1))?.contiguous()).expect("channels last");
        let folded = unshuffled(&last, 2).expect("folded");
        assert_eq!(values(&folded), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(values(&shuffled(&folded, 2).expect("unfolded")), values(&last));
    }

    #[test]
    fn pixels_are_repeated_and_mirrored() {
        let x = Tensor::arange(0_f32, 3.0, &Device::Cpu).and_then(|x| x.reshape((1, 1, 3, 1))).expect("a row");
        let twice = repeated(&x, 2).expect("twice");
        assert_eq!(values(&twice), [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
        let padded = padded(&x, 4).expect("padded");
        assert_eq!(padded.dims(), [1, 4, 4, 1]);
        assert_eq!(values(&padded.narrow(1, 0, 1).expect("a row")), [0.0, 1.0, 2.0, 1.0]);
    }
}
