/* SPDX-License-Identifier: GPL-2.0-only */
/* Zoom, search and keys for the flame graphs of a document. The boxes carry all there is to know:
   place and width as shares of the whole, name and numbers in their titles. */
(function () {
"use strict";
var SVG = "http://www.w3.org/2000/svg", HTML = "http://www.w3.org/1999/xhtml";
var ROW = 18, PAD = 8, LEAST_COLUMNS = 3;

function element(space, name, attributes, parent) {
	var made = document.createElementNS(space, name);
	Object.keys(attributes).forEach(function (key) { made.setAttribute(key, attributes[key]); });
	parent.appendChild(made);
	return made;
}

/* The width of a character, measured where it will stand. */
function columnOf(svg) {
	var probe = element(SVG, "text", { x: 0, y: -100 }, svg), width;
	probe.textContent = "0".repeat(100);
	width = probe.getComputedTextLength() / 100;
	svg.removeChild(probe);
	return width || 7.3;
}

/* --- one graph: boxes in the order of a walk from the root --- */

function readBox(group, index) {
	var frame = group.querySelector("svg"), title = group.querySelector("title").textContent;
	var lines = title.split("\n");
	return {
		index: index, group: group, frame: frame, label: group.querySelector("text"),
		name: lines[0], rest: lines.slice(1).join(" \u00b7 "),
		words: lines.slice(0, -1).join("\n").toLowerCase(),
		depth: Math.round(parseFloat(frame.getAttribute("y")) / ROW),
		x: parseFloat(frame.getAttribute("x")), w: parseFloat(frame.getAttribute("width")),
		parent: null, end: index + 1, hit: false
	};
}

function Graph(root) {
	var path = [];
	this.root = root;
	this.boxes = Array.from(root.querySelectorAll("g.f"), readBox);
	this.boxes.forEach(function (box) {
		path.length = box.depth;
		box.parent = path[box.depth - 1] || null;
		path.forEach(function (above) { above.end = box.index + 1; });
		path.push(box);
	});
	this.zoomed = this.here = this.boxes[0];
}

Graph.prototype.holds = function (outer, inner) {
	return inner.index >= outer.index && inner.index < outer.end;
};

Graph.prototype.zoom = function (target) {
	this.zoomed = target;
	this.boxes.forEach(function (box) {
		var up = box !== target && this.holds(box, target);
		var inside = this.holds(target, box);
		box.group.classList.toggle("off", !up && !inside);
		box.group.classList.toggle("up", up);
		box.shown = up || box === target ? 100 : inside ? 100 * box.w / target.w : 0;
		if (!box.shown)
			return;
		box.frame.setAttribute("x", up ? "0%" : 100 * (box.x - target.x) / target.w + "%");
		box.frame.setAttribute("width", box.shown + "%");
		box.group.classList.toggle("n", box.shown < 0.4);
	}, this);
};

/* Writes into each box as much of its name as fits. */
Graph.prototype.fit = function (column) {
	var width = this.root.getBoundingClientRect().width;
	this.boxes.forEach(function (box) {
		var columns = Math.floor((width * box.shown / 100 - PAD) / column);
		var name = box.name, text = "";
		if (box.group.classList.contains("off"))
			return;
		if (columns >= LEAST_COLUMNS)
			text = name.length <= columns ? name : name.slice(0, columns - 1) + "\u2026";
		if (!box.label && text)
			box.label = element(SVG, "text", { x: 4, y: 13 }, box.frame);
		if (box.label && box.label.textContent !== text)
			box.label.textContent = text;
	});
};

/* Marks what matches; returns its share of the whole, nothing counted twice. */
Graph.prototype.search = function (words) {
	var covered = 0, share = 0;
	this.boxes.forEach(function (box) {
		box.hit = words !== "" && box.depth > 0 && box.words.indexOf(words) >= 0;
		box.group.classList.toggle("hit", box.hit);
		if (box.hit && box.index >= covered) {
			share += box.w;
			covered = box.end;
		}
	});
	return share;
};

/* The box that an arrow key leads to. */
Graph.prototype.next = function (key) {
	var here = this.here, siblings;
	if (key === "ArrowUp")
		return here.parent;
	if (key === "ArrowDown")
		return this.boxes.filter(function (box) {
			return box.parent === here;
		}).sort(function (a, b) {
			return b.w - a.w || a.x - b.x;
		})[0];
	siblings = this.boxes.filter(function (box) {
		return box.depth === here.depth;
	});
	return siblings[siblings.indexOf(here) + (key === "ArrowRight" ? 1 : -1)];
};

/* --- one picture: its graphs and the bar above them --- */

function Picture(svg) {
	this.svg = svg;
	this.graphs = Array.from(svg.querySelectorAll("svg.graph"), function (root) {
		return new Graph(root);
	});
	this.alone = svg === document.documentElement;
	if (this.alone)
		svg.setAttribute("width", "100%");
	this.column = columnOf(svg);
	this.addBar(svg.querySelector("svg.tools"));
	this.graphs.forEach(this.listen, this);
	this.reset();
}

Picture.prototype.addBar = function (tools) {
	var holder, bar, line, picture = this;
	while (tools.firstChild)
		tools.removeChild(tools.firstChild);
	holder = element(SVG, "foreignObject", { width: "100%", height: 60 }, tools);
	bar = element(HTML, "div", { "class": "bar" }, holder);
	line = element(HTML, "div", { "class": "line" }, bar);
	this.input = element(HTML, "input", {
		type: "search", placeholder: "Search", "aria-label": "Search functions and files"
	}, line);
	this.button = element(HTML, "button", { type: "button" }, line);
	this.button.textContent = "Reset";
	this.matched = element(HTML, "span", { "class": "matched", role: "status" }, line);
	this.info = element(HTML, "div", { "class": "info", "aria-live": "polite" }, bar);
	this.input.addEventListener("input", function () { picture.search(); });
	this.input.addEventListener("keydown", function (event) {
		if (event.key === "Escape")
			picture.reset();
		event.stopPropagation();
	});
	this.button.addEventListener("click", function () { picture.reset(); });
};

Picture.prototype.search = function () {
	var words = this.input.value.trim().toLowerCase(), shares;
	shares = this.graphs.map(function (graph) {
		return graph.search(words).toFixed(1) + " %";
	});
	this.svg.classList.toggle("searching", words !== "");
	this.matched.textContent = words === "" ? "" : "matched: " + shares.join(", ");
	this.update();
};

Picture.prototype.update = function () {
	this.button.disabled = this.input.value === "" && this.graphs.every(function (graph) {
		return graph.zoomed === graph.boxes[0];
	});
};

Picture.prototype.reset = function () {
	this.input.value = "";
	this.graphs.forEach(function (graph) {
		graph.zoom(graph.boxes[0]);
		graph.fit(this.column);
	}, this);
	this.search();
	this.say(null);
};

Picture.prototype.zoom = function (graph, box) {
	graph.zoom(box);
	graph.fit(this.column);
	this.update();
};

Picture.prototype.say = function (box) {
	this.info.textContent = box ? box.name + " \u00b7 " + box.rest
		: "Click a frame to zoom, or use the arrow keys and Enter; Esc resets.";
};

Picture.prototype.move = function (graph, box) {
	if (!box)
		return;
	graph.here.group.classList.remove("here");
	graph.here = box;
	box.group.classList.add("here");
	this.say(box);
};

Picture.prototype.listen = function (graph) {
	var picture = this;
	graph.boxes.forEach(function (box) {
		box.group.addEventListener("click", function () {
			picture.zoom(graph, box);
			picture.move(graph, box);
		});
		box.group.addEventListener("mouseenter", function () { picture.say(box); });
	});
	graph.root.addEventListener("mouseleave", function () { picture.say(null); });
	graph.root.addEventListener("focus", function () { picture.move(graph, graph.here); });
	graph.root.addEventListener("keydown", function (event) {
		if (event.key.indexOf("Arrow") === 0)
			picture.move(graph, graph.next(event.key));
		else if (event.key === "Enter")
			picture.zoom(graph, graph.here);
		else
			return;
		event.preventDefault();
	});
};

function start() {
	var pictures = Array.from(document.querySelectorAll("svg.flame"), function (svg) {
		return new Picture(svg);
	});
	window.addEventListener("resize", function () {
		pictures.forEach(function (picture) {
			picture.graphs.forEach(function (graph) {
				graph.fit(picture.column);
			});
		});
	});
	document.addEventListener("keydown", function (event) {
		var find = (event.ctrlKey || event.metaKey) && event.key === "f";
		if (event.key === "Escape") {
			pictures.forEach(function (picture) { picture.reset(); });
		} else if (find && pictures.length === 1 && pictures[0].alone) {
			event.preventDefault();
			pictures[0].input.focus();
		}
	});
}

if (document.readyState === "loading")
	document.addEventListener("DOMContentLoaded", start);
else
	start();
})();
