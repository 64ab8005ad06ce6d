/** The downloads, which are made in the browser. */

const DOWNLOADS = [
  { id: "ranking-csv", title: "Ranking, CSV", name: "ranking.csv", type: "text/csv", content: rankingCsv },
  { id: "ranking-tex", title: "Ranking, LaTeX", name: "ranking.tex", type: "text/x-tex", content: rankingTex },
  { id: "pairs-csv", title: "Pairs, CSV", name: "pairs.csv", type: "text/csv", content: pairsCsv },
  { id: "pairs-tex", title: "Pairs, LaTeX", name: "pairs.tex", type: "text/x-tex", content: pairsTex },
  {
    id: "data",
    title: "All data, JSON",
    name: "data.json",
    type: "application/json",
    content: () => at("page-data").textContent,
  },
];

function renderDownloads(view, ranking) {
  fill(
    "download-buttons",
    DOWNLOADS.map((one) =>
      make(
        "button",
        {
          type: "button",
          id: `download-${one.id}`,
          "data-key": `download/${one.id}`,
          click: () => save(fileName(view, one), one.type, one.content(view, ranking)),
        },
        one.title,
      ),
    ),
  );
}

function fileName(view, download) {
  return ["leaderboard", view.board.name, view.metric.id, view.selection.id, download.name].join("-");
}

function save(name, type, content) {
  const address = URL.createObjectURL(new Blob([content], { type: `${type};charset=utf-8` }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
