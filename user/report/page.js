/* SPDX-License-Identifier: GPL-2.0-only */
/* Findings that open and close. Without scripts all of them are open. */
(function () {
"use strict";
var findings = document.querySelectorAll("tbody.finding"), all = document.getElementById("all");

function isOpen(finding) {
	return !finding.querySelector(".more").hidden;
}

function set(finding, open) {
	finding.querySelector(".more").hidden = !open;
	finding.querySelector(".open").setAttribute("aria-expanded", String(open));
}

function label() {
	if (all)
		all.textContent = Array.prototype.every.call(findings, isOpen) ? "Close all" : "Open all";
}

findings.forEach(function (finding, index) {
	set(finding, index === 0);
	finding.querySelector(".row").addEventListener("click", function () {
		if (String(window.getSelection()))
			return;
		set(finding, !isOpen(finding));
		label();
	});
});
if (all) {
	all.hidden = findings.length < 2;
	all.addEventListener("click", function () {
		var open = !Array.prototype.every.call(findings, isOpen);
		findings.forEach(function (finding) { set(finding, open); });
		label();
	});
	label();
}
})();
