// The page's words in English and Chinese. Both tables have the same keys.

/** @type {Record<string, Record<string, string>>} */
export const WORDS = {
  en: {
    title: "Avatar Studio",
    stage: "Avatar",
    other: "中文",
    theme: "Light or dark",
    connecting: "Connecting…",
    ready: "Ready",
    live: "Live",
    reconnecting: "Reconnecting…",
    error: "Not connected",
    goLive: "Go live with your voice",
    endLive: "Stop the microphone",
    asking: "Waiting for permission…",
    stop: "Be quiet",
    say: "Say it",
    sayPlaceholder: "Type something for the avatar to say…",
    voice: "Voice",
    autoVoice: "Voice: automatic",
    noVoice: "To make it speak typed text, install the voice: pip install 'avatar-server[tts]'",
    portraits: "Portrait",
    uploadPortrait: "Use a picture of your own",
    preparing: "Looking at your picture…",
    portraitGood: "A good portrait!",
    file: "Sound file",
    chooseFile: "Play a WAV, MP3, Opus, FLAC or M4A",
    sending: "Sending the file…",
    expression: "Expression",
    neutral: "Neutral",
    happy: "Happy",
    serious: "Serious",
    surprised: "Surprised",
    settings: "Fine tuning",
    offset: "Picture against sound",
    dynamicScale: "Lips",
    motionScale: "Head and eyes",
    smoothing: "Calmness",
    earlier: "earlier",
    later: "later",
    obsHint: "Add this address as a browser source in OBS.",
    copyObs: "Copy the OBS link",
    copied: "Copied",
    stats: "What is measured",
    soundOn: "Sound on",
    soundOff: "Sound off",
    soundHint: "Your own voice would come back late, so the page is muted while you speak.",
    noMicrophone: "No microphone was found. Plug one in and try again.",
    micRefused: "The microphone was not allowed. Allow it in the browser's address bar and try again.",
    micInsecure: "Browsers give the microphone only to https pages and to localhost.",
    micBusy: "The microphone is in use by another program.",
    serverFull: "All places on this server are taken. Trying again every few seconds…",
    ended: "The session has ended. A new one begins…",
    workerFailed: "The avatar stopped working. A new session begins…",
    network: "The server could not be reached.",
    takenOver: "This avatar was opened in another tab.",
  },
  zh: {
    title: "数字人工作室",
    stage: "数字人",
    other: "English",
    theme: "浅色或深色",
    connecting: "连接中…",
    ready: "就绪",
    live: "直播中",
    reconnecting: "重新连接…",
    error: "未连接",
    goLive: "用麦克风开始直播",
    endLive: "关闭麦克风",
    asking: "等待授权…",
    stop: "安静",
    say: "说出来",
    sayPlaceholder: "输入要让数字人说的话…",
    voice: "声音",
    autoVoice: "声音：自动",
    noVoice: "要朗读文字，请安装语音：pip install 'avatar-server[tts]'",
    portraits: "形象",
    uploadPortrait: "使用自己的图片",
    preparing: "正在查看图片…",
    portraitGood: "很好的形象！",
    file: "声音文件",
    chooseFile: "播放 WAV、MP3、Opus、FLAC 或 M4A",
    sending: "正在发送文件…",
    expression: "表情",
    neutral: "自然",
    happy: "微笑",
    serious: "严肃",
    surprised: "惊讶",
    settings: "微调",
    offset: "画面相对声音",
    dynamicScale: "嘴唇幅度",
    motionScale: "头部与眼神",
    smoothing: "平稳程度",
    earlier: "提前",
    later: "延后",
    obsHint: "在 OBS 中把此地址添加为浏览器源。",
    copyObs: "复制 OBS 链接",
    copied: "已复制",
    stats: "测量数据",
    soundOn: "有声",
    soundOff: "静音",
    soundHint: "自己的声音会延迟返回，所以说话时页面静音。",
    noMicrophone: "没有找到麦克风，请插入后重试。",
    micRefused: "麦克风未获授权，请在地址栏中允许后重试。",
    micInsecure: "浏览器只允许 https 页面或 localhost 使用麦克风。",
    micBusy: "麦克风正被其他程序占用。",
    serverFull: "服务器名额已满，每隔几秒自动重试…",
    ended: "会话已结束，正在开始新的会话…",
    workerFailed: "数字人停止了工作，正在开始新的会话…",
    network: "无法连接服务器。",
    takenOver: "该数字人已在另一个标签页打开。",
  },
};

/** @returns {"en" | "zh"} */
export function preferredLanguage() {
  const stored = localStorage.getItem("language");
  if (stored === "en" || stored === "zh") return stored;
  return navigator.language.startsWith("zh") ? "zh" : "en";
}

/**
 * Fill every element that names a word.
 * @param {Document} page
 * @param {Record<string, string>} words
 */
export function translate(page, words) {
  for (const element of page.querySelectorAll("[data-i18n]")) {
    element.textContent = words[element.getAttribute("data-i18n") ?? ""];
  }
  for (const element of page.querySelectorAll("[data-i18n-label]")) {
    element.setAttribute("aria-label", words[element.getAttribute("data-i18n-label") ?? ""]);
  }
  for (const element of page.querySelectorAll("[data-i18n-placeholder]")) {
    element.setAttribute("placeholder", words[element.getAttribute("data-i18n-placeholder") ?? ""]);
  }
}
