for (const course of document.querySelectorAll(".course")) {
  const frames = [...course.querySelectorAll("figure")], slider = course.querySelector("input");
  const show = () => {
    frames.forEach((frame, i) => { frame.hidden = i !== slider.valueAsNumber; });
    const step = frames[slider.valueAsNumber].dataset.step;
    slider.setAttribute("aria-valuetext", step);
    course.querySelector("output").textContent = step;
  };
  course.querySelector(".control").hidden = false;
  slider.addEventListener("input", show);
  show();
}
