#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "train/log.h"

namespace qw::train {
namespace {

constexpr double kWidth = 860, kHeight = 260, kLeft = 70, kBottom = 28, kTop = 12;
constexpr size_t kMaxPoints = 1200;  // of a curve; more are averaged in groups
constexpr size_t kMaxTicks = 20;
constexpr double kFlat = 1e-9;  // a range below this share of its values is rounding: means of groups differ

struct Point {
  double x, y;
};
struct Curve {
  std::string name, colour;
  std::vector<Point> points;
};

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// 12,345,678
std::string grouped(int64_t n) {
  std::string out = fmt::format("{}", n);
  for (size_t i = out.size(); i > 3; i -= 3) out.insert(i - 3, 1, ',');
  return out;
}

Curve curve(const std::vector<Json>& lines, const std::string& key, const std::string& colour) {
  Curve out{key, colour, {}};
  for (const Json& line : lines) {
    const auto it = line.find(key);
    if (it == line.end() || !it->is_number() || !line.contains("step") || !line["step"].is_number()) continue;
    const double y = it->get<double>();
    if (std::isfinite(y)) out.points.push_back({line["step"].get<double>(), y});
  }
  return out;
}

std::vector<Point> thinned(const std::vector<Point>& points) {
  const size_t group = (points.size() + kMaxPoints - 1) / kMaxPoints;
  if (group <= 1) return points;
  std::vector<Point> out;
  for (size_t i = 0; i < points.size(); i += group) {
    const size_t n = std::min(group, points.size() - i);
    Point mean{0, 0};
    for (size_t j = i; j < i + n; ++j) mean = {mean.x + points[j].x, mean.y + points[j].y};
    out.push_back({mean.x / static_cast<double>(n), mean.y / static_cast<double>(n)});
  }
  return out;
}

// Round numbers between two ends: 1, 2 or 5 times a power of ten apart.
std::vector<double> ticks(double low, double high) {
  const double raw = (high - low) / 5, power = std::pow(10.0, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double f : {5.0, 2.0, 1.0})
    if (f * power >= raw) step = f * power;
  std::vector<double> out;
  for (double t = std::ceil(low / step) * step; t <= high + step * 1e-9 && out.size() < kMaxTicks; t += step)
    out.push_back(t);
  return out;
}

std::string chart(const std::string& title, std::vector<Curve> curves) {
  Point low{HUGE_VAL, HUGE_VAL}, high{-HUGE_VAL, -HUGE_VAL};
  for (Curve& c : curves) {
    c.points = thinned(c.points);
    for (const Point& p : c.points) {
      low = {std::min(low.x, p.x), std::min(low.y, p.y)};
      high = {std::max(high.x, p.x), std::max(high.y, p.y)};
    }
  }
  if (low.x > high.x) return "";
  if (low.x == high.x) high.x += 1;
  if (const double size = std::max(std::abs(low.y), std::abs(high.y)); high.y - low.y <= kFlat * size)
    high.y += std::max(size * 0.1, 1e-12);
  const auto x = [&](double v) { return kLeft + (v - low.x) / (high.x - low.x) * (kWidth - kLeft - 10); };
  const auto y = [&](double v) {
    return kHeight - kBottom - (v - low.y) / (high.y - low.y) * (kHeight - kBottom - kTop);
  };
  std::string out = fmt::format("<h2>{}</h2>\n<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n",
                                escaped(title), kWidth, kHeight, escaped(title));
  for (const double t : ticks(low.y, high.y))
    out += fmt::format(
        "<line class=\"g\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/><text x=\"{}\" "
        "y=\"{:.1f}\" text-anchor=\"end\">{:.4g}</text>\n",
        kLeft, kWidth - 10, y(t), y(t), kLeft - 6, y(t) + 4, t);
  for (const double t : ticks(low.x, high.x))
    out += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{:.6g}</text>\n", x(t),
                       kHeight - 8, t);
  for (const Curve& c : curves) {
    std::string path;
    for (const Point& p : c.points)
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x(p.x), y(p.y));
    out += fmt::format("<path d=\"{}\" stroke=\"{}\"/>\n", path, c.colour);
    if (c.points.size() == 1)
      out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n", x(c.points[0].x),
                         y(c.points[0].y), c.colour);
  }
  out += "</svg>\n<p class=\"k\">";
  for (const Curve& c : curves)
    if (!c.points.empty())
      out += fmt::format("<span style=\"color:{}\">&#9632;</span> {} (last {:.5g}) &nbsp; ", c.colour,
                         escaped(c.name), c.points.back().y);
  return out + "</p>\n";
}

}  // namespace

std::string report_html(const std::string& title, const std::vector<Json>& lines, const Json& config) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><meta "
      "charset=\"utf-8\"><title>{0}</title>\n<style>body{{font:15px/1.5 "
      "system-ui,sans-serif;max-width:900px;margin:2em auto;padding:0 "
      "1em;color:#222;background:#fff}}svg{{width:100%}}"
      "path{{fill:none;stroke-width:1.6}}.g{{stroke:#ddd}}text{{font-size:12px;fill:#666}}.k{{margin:0;color:"
      "#444}}"
      "h2{{font-size:1.05em;margin:1.6em 0 .2em}}pre{{background:#f5f5f5;padding:1em;overflow:auto}}"
      "@media(prefers-color-scheme:dark){{body{{background:#181818;color:#ddd}}pre{{background:#242424}}.g{{"
      "stroke:#333}}"
      "text{{fill:#aaa}}.k{{color:#bbb}}}}</style>\n<h1>{0}</h1>\n",
      escaped(title));
  int64_t steps = 0, tokens = 0;
  for (const Json& line : lines)
    if (line.contains("loss")) {
      ++steps;
      if (line.contains("tokens") && line["tokens"].is_number_integer())
        tokens += line["tokens"].get<int64_t>();
    }
  out += fmt::format("<p>{} steps, {} tokens</p>\n", grouped(steps), grouped(tokens));
  out += chart("Loss", {curve(lines, "loss", "#4477aa"), curve(lines, "eval_loss", "#cc3311")});
  out += chart("Accuracy of preferences", {curve(lines, "accuracy", "#117733")});
  out += chart("Learning rate", {curve(lines, "lr", "#aa7700")});
  out += chart("Gradient norm", {curve(lines, "grad_norm", "#773388")});
  out += chart("Tokens a second", {curve(lines, "tok_s", "#117733")});
  out += fmt::format("<h2>Configuration</h2>\n<pre>{}</pre>\n</html>\n", escaped(config.dump(2)));
  return out;
}

}  // namespace qw::train
