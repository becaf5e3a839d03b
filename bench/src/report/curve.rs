//! Curves as SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::{
    BLACK, ChartBuilder, IntoDrawingArea, IntoLogRange, LineSeries, PathElement, RGBColor,
    SVGBackend, WHITE,
};

/// Pixels.
const SIZE: (u32, u32) = (760, 420);
/// Blue, orange, green: told apart by the colour-blind.
const COLOURS: [RGBColor; 3] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
];

/// Lines over one axis.
#[derive(Clone, Debug)]
pub struct Curve {
    title: &'static str,
    x: &'static str,
    y: &'static str,
    /// The x axis is logarithmic.
    pub is_logarithmic: bool,
    lines: Vec<(&'static str, Vec<(f64, f64)>)>,
}

impl Curve {
    /// Without any line yet; `x` and `y` are what the axes show.
    pub fn new(title: &'static str, x: &'static str, y: &'static str) -> Self {
        Self {
            title,
            x,
            y,
            is_logarithmic: false,
            lines: Vec::new(),
        }
    }

    /// Adds a line.
    pub fn line(&mut self, name: &'static str, points: Vec<(f64, f64)>) {
        self.lines.push((name, points));
    }

    /// What it shows.
    pub fn title(&self) -> &'static str {
        self.title
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let x_most = most(&mut points().map(|point| point.0)).max(1.0);
        let y_most = most(&mut points().map(|point| point.1)).max(1e-9) * 1.05;
        if self.is_logarithmic {
            let x_least = points()
                .map(|point| point.0)
                .fold(x_most, f64::min)
                .max(1e-3);
            self.draw(path, (x_least..x_most * 1.05).log_scale(), 0.0..y_most)
        } else {
            self.draw(path, 0.0..x_most, 0.0..y_most)
        }
    }

    fn draw<X>(&self, path: &Path, x: X, y: std::ops::Range<f64>) -> Result<()>
    where
        X: AsRangedCoord<Value = f64>,
        X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let failed = |error: &dyn std::fmt::Display| anyhow!("{}: {error}", path.display());
        let area = SVGBackend::new(path, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(|error| failed(&error))?;
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(80)
            .build_cartesian_2d(x, y)
            .map_err(|error| failed(&error))?;
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .draw()
            .map_err(|error| failed(&error))?;
        for ((name, points), colour) in self.lines.iter().zip(COLOURS.into_iter().cycle()) {
            chart
                .draw_series(LineSeries::new(points.iter().copied(), &colour))
                .map_err(|error| failed(&error))?
                .label(*name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour));
        }
        chart
            .configure_series_labels()
            .background_style(WHITE)
            .border_style(BLACK)
            .draw()
            .map_err(|error| failed(&error))?;
        area.present().map_err(|error| failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_becomes_an_svg_with_its_words() {
        let dir = tempfile::tempdir().unwrap();
        for is_logarithmic in [false, true] {
            let mut curve = Curve::new("Everything", "bindings", "exchanges");
            curve.is_logarithmic = is_logarithmic;
            curve.line("ours", vec![(1e4, 10.0), (1e7, 9.0)]);
            curve.line("nothing", Vec::new());
            let path = dir.path().join("curve.svg");
            curve.write(&path).unwrap();
            let text = std::fs::read_to_string(path).unwrap();
            for word in ["Everything", "bindings", "exchanges", "ours", "<polyline"] {
                assert!(text.contains(word), "{word}");
            }
        }
    }
}
