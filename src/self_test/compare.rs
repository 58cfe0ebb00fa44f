//! Is it the picture that the bundling machine drew?

use super::report::Comparison;
use crate::failure::Outcome;
use engine::{Picture, Precision};
use manifest::{SelfTestSpec, Sha256};

/// Least PSNR in dB between pictures of machines of different classes. Different processors add numbers in another
/// order; that moves a few pixels by one step (far above 40 dB), never the picture.
pub(crate) const LEAST_PSNR: f64 = 35.0;

/// What equal bytes depend on: the processor's class, with the precision if it is not f32, and the program.
pub(crate) fn machine_class(precision: Precision) -> String {
    format!("{}, {}", engine::machine_class(precision), crate::PROGRAM_VERSION)
}

/// The identity of a picture: the digest of its RGB pixels, row by row.
pub(crate) fn pixels_sha256(picture: &Picture) -> Sha256 {
    Sha256::of(&picture.rgb)
}

/// Compares with the picture of the bundle.
pub(super) fn compare(
    picture: &Picture,
    golden: &Picture,
    spec: &SelfTestSpec,
    machine_class: &str,
) -> Outcome<Comparison> {
    let pixels = pixels_sha256(picture);
    if pixels == spec.pixels_sha256 {
        return Ok(Comparison { matches: true, equal_bytes: true, psnr: None, text: "equal bytes".to_owned() });
    }
    let psnr = picture.psnr(golden)?;
    let same_class = machine_class == spec.machine_class;
    let matches = !same_class && psnr >= spec.least_psnr;
    let text = match (same_class, matches) {
        (true, _) => format!(
            "differs from the bundle's picture (PSNR {psnr:.1} dB) although both machines are of the class \"{machine_class}\", which must give equal bytes"
        ),
        (false, true) => format!(
            "PSNR {psnr:.1} dB (at least {:.0} dB is asked of a machine of another class: \"{machine_class}\" here, \"{}\" where the bundle was made)",
            spec.least_psnr, spec.machine_class
        ),
        (false, false) => {
            format!("differs from the bundle's picture: PSNR {psnr:.1} dB, at least {:.0} dB is asked", spec.least_psnr)
        }
    };
    Ok(Comparison { matches, equal_bytes: false, psnr: Some(psnr), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(value: u8) -> Picture {
        Picture { width: 8, height: 8, rgb: vec![value; 8 * 8 * 3] }
    }

    fn spec(golden: &Picture) -> SelfTestSpec {
        SelfTestSpec {
            model: "m".parse().unwrap(),
            prompt: String::new(),
            width: 8,
            height: 8,
            steps: 1,
            cfg_scale: 5.0,
            seed: 0,
            sampler: "Euler".into(),
            picture: "p".parse().unwrap(),
            pixels_sha256: pixels_sha256(golden),
            machine_class: "here".into(),
            least_psnr: LEAST_PSNR,
        }
    }

    #[test]
    fn one_step_of_one_pixel_fails_on_the_same_class_and_passes_on_another() {
        let golden = picture(100);
        let mut other = picture(100);
        other.rgb[0] = 101;
        assert!(compare(&golden, &golden, &spec(&golden), "here").unwrap().equal_bytes);
        assert!(!compare(&other, &golden, &spec(&golden), "here").unwrap().matches);
        assert!(compare(&other, &golden, &spec(&golden), "elsewhere").unwrap().matches);
        assert!(!compare(&picture(130), &golden, &spec(&golden), "elsewhere").unwrap().matches);
    }
}
