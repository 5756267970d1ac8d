//! Places for the labels of a picture's points, so that no label covers another one or a point.
//!
//! The picture's fonts are the reader's, so a label's size is an estimate that is rather too large.

/// A place in a picture, in pixels from its upper left corner: right, then down.
pub type Pixel = (i32, i32);

/// The font size of labels.
pub const SIZE: u32 = 11;

/// The height of a label's box at [`SIZE`].
pub const HEIGHT: i32 = 13;

/// The width of a label's box at [`SIZE`]. Letters of usual fonts are narrower on average.
#[must_use]
pub fn width(text: &str) -> i32 {
    let letters = i32::try_from(text.chars().count()).unwrap_or(i32::MAX);
    letters.saturating_mul(5).saturating_add(2)
}

/// The sides of its point on which a label may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// Right of the point only.
    Right,
    /// Right of the point, or left of it.
    Both,
}

/// A label that has its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The label's upper left corner.
    pub corner: Pixel,
    /// Where a line to the point begins, if the label isn't right beside it.
    pub leader: Option<Pixel>,
}

/// A box around a label or a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Area {
    /// The upper left corner.
    pub from: Pixel,
    /// The lower right corner, which is outside.
    pub to: Pixel,
}

impl Area {
    /// The area of a label with this upper left corner.
    #[must_use]
    pub fn of(text: &str, corner: Pixel) -> Self {
        let (x, y) = corner;
        Self {
            from: corner,
            to: (x + width(text), y + HEIGHT),
        }
    }

    fn around(point: Pixel) -> Self {
        Self {
            from: (point.0 - RADIUS, point.1 - RADIUS),
            to: (point.0 + RADIUS + 1, point.1 + RADIUS + 1),
        }
    }

    /// Whether the areas have a pixel in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.from.0 < other.to.0
            && other.from.0 < self.to.0
            && self.from.1 < other.to.1
            && other.from.1 < self.to.1
    }

    /// Whether all of `other` lies in this area.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.from.0 <= other.from.0
            && self.from.1 <= other.from.1
            && self.to.0 >= other.to.0
            && self.to.1 >= other.to.1
    }
}

/// The radius around a point that no label may cover.
const RADIUS: i32 = 4;

/// The distance between a point and its label.
const GAP: i32 = 7;

/// How far up or down a label is moved at a time.
const STEP: i32 = 2;

/// The farthest that a label is moved up or down.
const FARTHEST: i32 = 600;

/// Finds a place within `picture` for the label of each point, as near to its point as possible.
///
/// A label that finds no free place stands beside its point, and covers others.
#[must_use]
pub fn place(labels: &[(&str, Pixel)], picture: Area, sides: Sides) -> Vec<Placed> {
    let points: Vec<Area> = labels
        .iter()
        .map(|(_, point)| Area::around(*point))
        .collect();
    let mut taken = points;
    let mut placed = Vec::new();
    for &(text, point) in labels {
        let is_free = |corner: &Pixel| {
            let area = Area::of(text, *corner);
            picture.contains(&area) && !taken.iter().any(|other| other.overlaps(&area))
        };
        let found = corners(text, point, sides).find(is_free);
        let corner = found.unwrap_or((point.0 + GAP, point.1 - HEIGHT / 2));
        taken.push(Area::of(text, corner));
        let middle = corner.1 + HEIGHT / 2;
        let near_side = if corner.0 > point.0 {
            corner.0 - 1
        } else {
            corner.0 + width(text)
        };
        let is_beside = (middle - point.1).abs() <= HEIGHT / 2;
        placed.push(Placed {
            corner,
            leader: (!is_beside).then_some((near_side, middle)),
        });
    }
    placed
}

/// The corners that a label may have, the nearest to its point first.
fn corners(text: &str, point: Pixel, sides: Sides) -> impl Iterator<Item = Pixel> {
    let right = point.0 + GAP;
    let left = point.0 - GAP - width(text);
    let sides = match sides {
        Sides::Right => vec![right],
        Sides::Both => vec![right, left],
    };
    (0..=FARTHEST / STEP).flat_map(move |steps| {
        let shift = steps * STEP;
        let top = point.1 - HEIGHT / 2;
        let corners = sides.clone().into_iter();
        corners.flat_map(move |x| [(x, top + shift), (x, top - shift)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICTURE: Area = Area {
        from: (0, 0),
        to: (960, 620),
    };

    fn assert_apart(labels: &[(&str, Pixel)], sides: Sides) {
        let places = place(labels, PICTURE, sides);
        let areas: Vec<Area> = labels
            .iter()
            .zip(&places)
            .map(|((text, _), placed)| Area::of(text, placed.corner))
            .collect();
        for (index, area) in areas.iter().enumerate() {
            assert!(PICTURE.contains(area), "{area:?} is outside");
            for other in &areas[..index] {
                assert!(!area.overlaps(other), "{area:?} overlaps {other:?}");
            }
            for (_, point) in labels {
                assert!(
                    !area.overlaps(&Area::around(*point)),
                    "{area:?} covers {point:?}"
                );
            }
        }
    }

    #[test]
    fn labels_of_one_place_stand_apart() {
        let labels: Vec<_> = (0..40)
            .map(|_| ("resilience4j-tuned", (480, 310)))
            .collect();
        assert_apart(&labels, Sides::Right);
        assert_apart(&labels, Sides::Both);
    }

    #[test]
    fn labels_stay_within_the_picture_at_its_edges() {
        let corners = [(5, 5), (955, 5), (5, 615), (955, 615)];
        let labels: Vec<_> = (0..24).map(|n| ("sentinel", corners[n % 4])).collect();
        assert_apart(&labels, Sides::Both);
    }

    #[test]
    fn a_lonely_label_stands_right_beside_its_point_and_needs_no_line() {
        let [placed] = place(&[("adaptive", (100, 100))], PICTURE, Sides::Both)[..] else {
            panic!("one label has one place");
        };
        assert_eq!(placed.corner, (107, 94));
        assert_eq!(placed.leader, None);
    }
}
