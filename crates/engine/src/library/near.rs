/// How many names a message offers.
const OFFERED: usize = 3;

/// The names most like `wanted`, best first: the folders before a name and letter case do not count.
pub(super) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let folded: Vec<char> = wanted.to_lowercase().chars().collect();
    let mut all: Vec<(usize, &str)> = names
        .map(|name| {
            let own: Vec<char> = name.rsplit('/').next().unwrap_or(name).to_lowercase().chars().collect();
            (distance(&folded, &own), name)
        })
        .collect();
    all.sort_unstable();
    all.into_iter().take(OFFERED).map(|(_, name)| name.to_owned()).collect()
}

/// Letters to insert, delete or replace to get from one word to the other (Levenshtein 1966).
fn distance(from: &[char], to: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, letter) in from.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (j, other) in to.iter().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX);
            let best = (diagonal + usize::from(letter != other)).min(above + 1).min(left + 1);
            if let Some(place) = row.get_mut(j) {
                *place = left;
            }
            diagonal = above;
            left = best;
        }
        if let Some(place) = row.last_mut() {
            *place = left;
        }
    }
    row.last().copied().unwrap_or(from.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        let distance = |a: &str, b: &str| {
            let letters = |word: &str| word.chars().collect::<Vec<_>>();
            distance(&letters(a), &letters(b))
        };
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("same", "same"), 0);
        assert_eq!(distance("detial", "detail"), 2);
    }

    #[test]
    fn the_nearest_names_come_first() {
        let names = ["zoo", "style/add_detail", "add_details_xl", "ink"];
        assert_eq!(nearest("Add_detial", names.into_iter()), ["style/add_detail", "add_details_xl", "ink"]);
    }
}
