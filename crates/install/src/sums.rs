//! `SHA256SUMS`: digests of everything in the bundle folder.

use manifest::Sha256;

/// Reads a text as `sha256sum` writes it.
///
/// # Errors
/// The number of the first line that is not of the form "DIGEST  NAME", or that names a path.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, Sha256)>, usize> {
    let mut sums = Vec::new();
    for (number, line) in (1_usize..).zip(text.lines()) {
        let sum = line.split_once(' ').and_then(|(digest, name)| {
            let name = name.strip_prefix([' ', '*'])?;
            let plain = !name.is_empty() && !name.contains(['/', '\\', '\0']) && name != "." && name != "..";
            let sum: Sha256 = digest.parse().ok()?;
            // a capital letter is a flipped bit
            (plain && sum.to_string() == digest).then(|| (name.to_owned(), sum))
        });
        sums.push(sum.ok_or(number)?);
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_sha256sum_writes() {
        let digest = Sha256::of(b"x");
        let text = format!("{digest}  kit.tar.zst\n{digest} *START-HERE.txt\n");
        let names: Vec<_> = parse(&text).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["kit.tar.zst", "START-HERE.txt"]);
        assert_eq!(parse(&format!("{digest}  ok\n{digest}  ../up\n")), Err(2));
        assert_eq!(parse("hello"), Err(1));
        assert_eq!(parse(&format!("{}  ok\n", digest.to_string().to_uppercase())), Err(1));
    }
}
